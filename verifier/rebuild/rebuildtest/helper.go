package rebuildtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Program builds a Go program without dependencies, statically linked, and returns its bytes.
func Program(t testing.TB, folder string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "program")
	build := exec.Command("go", "build", "-o", out, folder)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v: %s", folder, err, text)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
