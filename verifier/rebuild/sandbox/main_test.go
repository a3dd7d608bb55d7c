package sandbox

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/verifier/rebuild"
	"github.com/countersign-escrow/countersign/verifier/rebuild/rebuildtest"
)

// helper is the program in the test image, built once.
var helper []byte

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "sandbox-helper")
	if err != nil {
		panic(err)
	}
	program := filepath.Join(dir, "helper")
	build := exec.Command("go", "build", "-o", program, "./testdata/helper")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("building the test program: %v: %s", err, out))
	}
	if helper, err = os.ReadFile(program); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// rig is a sandbox with the test image, in folders of its own.
type rig struct {
	*Sandbox
	cfg   Config
	blobs rebuildtest.Blobs
	image digest.Digest
}

func newRig(t *testing.T) *rig {
	t.Helper()
	if _, err := exec.LookPath("runc"); err != nil {
		t.Skip("runc is not installed")
	}
	if os.Geteuid() != 0 {
		t.Skip("not root: limits cannot be set")
	}
	dir := t.TempDir()
	r := &rig{
		cfg:   Config{StateDir: filepath.Join(dir, "state"), CacheDir: filepath.Join(dir, "cache"), CgroupParent: "/countersign-test"},
		blobs: rebuildtest.Blobs{},
	}
	var err error
	if r.Sandbox, err = New(r.cfg); err != nil {
		t.Fatal(err)
	}
	r.image = rebuildtest.Image(t, r.blobs, "linux", runtime.GOARCH, nil, rebuildtest.Plain(rebuildtest.Layer(t,
		rebuildtest.File("bin/helper", 0o755, helper), rebuildtest.Folder("etc"))))
	t.Cleanup(func() { r.checkNothingLeft(t) })
	return r
}

// plan plans a run of the helper with limits that suit a test.
func (r *rig) plan(argv ...string) *rebuild.Plan {
	return &rebuild.Plan{
		Image: r.image,
		Argv:  append([]string{"helper"}, argv...),
		Env:   map[string]string{"PATH": "/bin", "HOME": rebuild.Home, "GOMAXPROCS": "2"},
		Dir:   manifest.SourceRoot,
		Limits: manifest.Limits{WallSeconds: 20, CPUSeconds: 10, MemoryBytes: 256 << 20, Processes: 64,
			DiskBytes: 32 << 20, OutputBytes: 16 << 20},
		Conditions: rebuild.FirstConditions,
	}
}

// workspace makes an empty one.
func (r *rig) workspace(t *testing.T) rebuild.Workspace {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{"source", "home", "out"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return rebuild.Workspace{Dir: dir, Blob: r.blobs.Open}
}

func (r *rig) run(t *testing.T, p *rebuild.Plan, w rebuild.Workspace) rebuild.Result {
	t.Helper()
	res, err := r.Run(t.Context(), p, w)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%v: stopped %q, exit code %d, reached %q, wall %v, CPU %v, %d MiB", p.Argv, res.Stopped, res.ExitCode, res.Reached,
		res.Wall, res.CPU, res.PeakMemory>>20)
	return res
}

// checkNothingLeft looks for containers, control groups, mounts, processes and folders of this rig.
func (r *rig) checkNothingLeft(t *testing.T) {
	t.Helper()
	if out, err := r.runtime.command("list", "--quiet").Output(); err != nil || len(out) > 0 {
		t.Errorf("containers left: %s, %v", out, err)
	}
	for _, d := range r.groups.group(r.parent).dirs() {
		if left, _ := filepath.Glob(filepath.Join(d, "*", "cgroup.procs")); len(left) > 0 {
			t.Errorf("control groups left: %v", left)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(mounts), filepath.Dir(r.cfg.StateDir)) {
		t.Errorf("mounts left, %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(r.bundles, idPrefix+"*")); len(left) > 0 {
		t.Errorf("bundles left: %v", left)
	}
	for _, p := range helpersRunning(t) {
		t.Errorf("process left: %s", p)
	}
}

// helpersRunning lists the living processes in the tests' control groups.
func helpersRunning(t *testing.T) []string {
	t.Helper()
	var found []string
	exes, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range exes {
		dir := filepath.Dir(e)
		b, err := os.ReadFile(e)
		if err != nil || !strings.Contains(string(b), "/countersign-test/") {
			continue
		}
		if status, _ := os.ReadFile(filepath.Join(dir, "status")); !strings.Contains(string(status), "State:\tZ") {
			found = append(found, dir)
		}
	}
	return found
}
