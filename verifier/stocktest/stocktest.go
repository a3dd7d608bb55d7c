// Package stocktest finds the stock tools that tests hold ours against. It knows nothing of what they are asked.
package stocktest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Need skips a test where one of the tools is missing.
func Need(t testing.TB, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed: no word from the stock tool", tool)
		}
	}
}

// Cosign returns the path of stock cosign, and skips a test where there is none.
func Cosign(t testing.TB) string {
	t.Helper()
	p := FindCosign()
	if p == "" {
		t.Skip("no stock cosign: make cosign builds it; or set COSIGN, or put it on the PATH")
	}
	return p
}

// FindCosign returns the path of stock cosign: $COSIGN, on the PATH, or where make cosign puts it; "" if there is none.
func FindCosign() string {
	if p := os.Getenv("COSIGN"); p != "" {
		return p
	}
	if p, err := exec.LookPath("cosign"); err == nil {
		return p
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	p := filepath.Join(cache, "countersign", "bin", "cosign")
	if _, err := os.Stat(p); err != nil {
		return ""
	}
	return p
}
