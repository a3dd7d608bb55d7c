package sandbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fakeGroup is a folder with the files of a control group as the kernel writes them. The real ones of this machine
// are of one version only; the tests with a runtime use those.
func fakeGroup(t *testing.T, unified bool, files map[string]string) group {
	t.Helper()
	g := hierarchy{root: t.TempDir(), unified: unified}.group("/parent/run")
	for name, content := range files {
		path := filepath.Join(g.root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

func TestReadFigures(t *testing.T) {
	want := used{cpu: 1500 * time.Millisecond, peak: 4096, oomKills: 2, forkFails: 3}
	for name, g := range map[string]group{
		"version 1": fakeGroup(t, false, map[string]string{
			"cpuacct/parent/run/cpuacct.usage":            "1500000000\n",
			"memory/parent/run/memory.max_usage_in_bytes": "4096\n",
			"memory/parent/run/memory.oom_control":        "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
			"pids/parent/run/pids.events":                 "max 3\n",
		}),
		"version 2": fakeGroup(t, true, map[string]string{
			"parent/run/cpu.stat":      "usage_usec 1500000\nuser_usec 1000000\n",
			"parent/run/memory.peak":   "4096\n",
			"parent/run/memory.events": "low 0\nhigh 0\nmax 9\noom 4\noom_kill 2\noom_group_kill 0\n",
			"parent/run/pids.events":   "max 3\n",
		}),
	} {
		if got := g.read(); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
		if got := g.cpu(); got != want.cpu {
			t.Errorf("%s: CPU %v, want %v", name, got, want.cpu)
		}
	}
	if got := fakeGroup(t, true, nil).read(); got != (used{}) {
		t.Errorf("a group that is gone: %+v", got)
	}
}

// Where limits cannot hold the sandbox refuses, and says why.
func TestFindHierarchyRefuses(t *testing.T) {
	for name, root := range map[string]string{"nothing there": filepath.Join(t.TempDir(), "none"), "no control groups": t.TempDir()} {
		if _, err := findHierarchy(root, "/parent"); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
