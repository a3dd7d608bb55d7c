package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"escrowctl": main})
}

// TestScripts runs the scripts that need no service against the real program.
func TestScripts(t *testing.T) {
	kept, err := filepath.Abs("../../verifier/attest/testdata/comparison")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("XDG_CONFIG_HOME", filepath.Join(e.WorkDir, "config"))
			e.Setenv("KEPT", kept) // a bundle that was once given out, with its trusted root and key
			return os.MkdirAll(filepath.Join(e.WorkDir, "config"), 0o755)
		},
	})
}
