package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/countersign-escrow/countersign/verifier/stocktest"
)

// demoFolder is that of the demo, whose own preparation of releases is what is tested.
const demoFolder = "../../../deploy/demo"

// demo FUNCTION… calls functions of the demo's releases.sh, with the folder demo of the script to write to.
func demo(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: demo FUNCTION…")
	}
	out, err := callDemo(ts.MkAbs("demo"), ts.Getenv("PATH"), args...)
	ts.Logf("%s", out)
	ts.Check(err)
}

func callDemo(out, path string, functions ...string) ([]byte, error) {
	here, err := filepath.Abs(demoFolder)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return nil, err
	}
	script := `set -euo pipefail; . "$HERE/releases.sh"; for f in "$@"; do "$f"; done`
	cmd := exec.Command("bash", append([]string{"-c", script, "demo"}, functions...)...)
	cmd.Env = append(os.Environ(), "HERE="+here, "OUT="+out, "PATH="+path, "GOTOOLCHAIN=local")
	return cmd.CombinedOutput()
}

// condition tells whether the published Go distribution can be had, and used, here.
func condition(t *testing.T) func(string) (bool, error) {
	return func(name string) (bool, error) {
		if name != "distribution" {
			return false, fmt.Errorf("no such condition")
		}
		if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
			return false, nil
		}
		out, err := callDemo(t.TempDir(), os.Getenv("PATH"), "distribution")
		if err != nil && !strings.Contains(string(out), "could not download") {
			return false, fmt.Errorf("%w: %s", err, out)
		}
		t.Logf("%s", out)
		return err == nil, nil
	}
}

// linkCosign lays stock cosign, where there is one, into a folder that is on the path of scripts.
func linkCosign(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	cosign := stocktest.FindCosign()
	if cosign == "" {
		return nil
	}
	return os.Symlink(cosign, filepath.Join(dir, "cosign"))
}
