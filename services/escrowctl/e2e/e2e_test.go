// Package e2e_test runs scripts of the real client against the real service.
package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// programs is the folder with escrowd, escrowctl, the tiny toolchain and the program of hostile recipes.
var programs string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "countersign-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	for out, pkg := range map[string]string{"escrowd": "../../escrowd", "escrowctl": "..", "tool": "./testdata/tool",
		"helper": "../../../verifier/rebuild/sandbox/testdata/helper"} {
		cmd := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, out), pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if b, err := cmd.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "building %s: %v\n%s", out, err, b)
			return 1
		}
	}
	programs = dir
	return m.Run()
}

func TestScripts(t *testing.T) {
	deploy, err := filepath.Abs("../../../deploy")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			bin := filepath.Join(e.WorkDir, "bin")
			e.Setenv("PATH", strings.Join([]string{programs, bin, e.Getenv("PATH")}, string(filepath.ListSeparator)))
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("XDG_CONFIG_HOME", filepath.Join(e.WorkDir, "config"))
			e.Setenv("XDG_CACHE_HOME", filepath.Join(e.WorkDir, "cache"))
			e.Setenv("DEPLOY", deploy)
			e.Setenv("TOOL", filepath.Join(programs, "tool"))
			e.Setenv("HELPER", filepath.Join(programs, "helper"))
			e.Values[serviceKey{}] = new(service)
			e.Values[proxyKey{}] = new(proxy)
			return linkCosign(bin)
		},
		Condition: condition(t),
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"escrowd":  escrowd,
			"world":    world,
			"join":     join,
			"demo":     demo,
			"stranger": stranger,
			"proxy":    startProxy,
			"killed":   killed,
			"wrong":    wrongDigest,
			"fill":     fill,
			"flip":     flip,
		},
	})
}
