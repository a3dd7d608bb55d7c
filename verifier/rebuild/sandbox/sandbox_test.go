package sandbox

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/countersign-escrow/countersign/verifier/rebuild"
)

func TestBuildEnds(t *testing.T) {
	r := newRig(t)
	w := r.workspace(t)
	res := r.run(t, r.plan("write", "/build/out/x", "hello"), w)
	if res.Stopped != "" || res.ExitCode != 0 || res.Reached != "" {
		t.Fatalf("%+v", res)
	}
	if b, err := os.ReadFile(filepath.Join(w.Dir, "out/x")); err != nil || string(b) != "hello" {
		t.Errorf("output %q, %v", b, err)
	}
	if res.Wall <= 0 || res.CPU <= 0 || res.PeakMemory <= 0 || time.Since(res.Started) > time.Minute {
		t.Errorf("figures missing: %+v", res)
	}
	if !strings.HasPrefix(r.Runtime(), "runc ") {
		t.Errorf("runtime %q", r.Runtime())
	}
}

// The build sees what its plan says, and nothing of the machine.
func TestWhatTheBuildSees(t *testing.T) {
	r := newRig(t)
	p := r.plan("facts")
	p.Conditions = rebuild.SecondConditions
	p.Env["TZ"] = "XXX-13:45"
	res := r.run(t, p, r.workspace(t))
	lines := strings.Split(strings.TrimSpace(res.Log), "\n")
	want := []string{
		"env GOMAXPROCS=2", "env HOME=/build/home", "env PATH=/bin", "env TZ=XXX-13:45",
		"host another-host", "dir /build/source", "ids 1001 1001 0027",
		"status CapPrm: 0000000000000000", "status CapEff: 0000000000000000", "status CapBnd: 0000000000000000", "status CapAmb: 0000000000000000",
		"status NoNewPrivs: 1", "status Seccomp: 2", "interface lo", "processes 1",
		"dev core", "dev fd", "dev full", "dev null", "dev ptmx", "dev random", "dev shm", "dev stderr", "dev stdin", "dev stdout", "dev tty", "dev urandom", "dev zero",
	}
	for _, l := range lines {
		if !slices.Contains(want, l) {
			t.Errorf("the build sees %q", l)
		}
	}
	for _, l := range want {
		if !slices.Contains(lines, l) && l != "dev core" && l != "dev ptmx" {
			t.Errorf("the build does not see %q", l)
		}
	}
}

// Each attack gets its verdict, and newRig's clean-up sees that nothing is left of it.
func TestAttacks(t *testing.T) {
	r := newRig(t)
	for _, tc := range []struct {
		name    string
		argv    []string
		limit   func(p *rebuild.Plan)
		stopped finding.Verdict
		exit    int    // where the verdict is BUILD_FAILED
		reached string // a part of it
		log     string // a part of it
	}{
		{name: "reaches for the network", argv: []string{"net"}, stopped: finding.BuildFailed, exit: 7, log: "no network: dial tcp 192.0.2.1:80: connect: network is unreachable"},
		{name: "forks without end", argv: []string{"forks"}, stopped: finding.ResourceExceeded, reached: "64 processes"},
		{name: "allocates without end", argv: []string{"memory"}, stopped: finding.ResourceExceeded, reached: "268435456 allowed"},
		{name: "never ends", argv: []string{"sleep"}, limit: func(p *rebuild.Plan) { p.Limits.WallSeconds = 1 }, stopped: finding.TimedOut, reached: "after 1s"},
		{name: "uses the processor without end", argv: []string{"burn"}, limit: func(p *rebuild.Plan) { p.Limits.CPUSeconds = 1 }, stopped: finding.ResourceExceeded, reached: "processor time, 1 s allowed"},
		{name: "writes without end", argv: []string{"disk", "/build/out/x"}, stopped: finding.ResourceExceeded, reached: "bytes of disk, 33554432 allowed"},
		{name: "writes where no name shows it", argv: []string{"hidden-disk", "/build/out/x"}, stopped: finding.ResourceExceeded, reached: "bytes of disk"},
		{name: "makes files without end", argv: []string{"files", "/build/out"}, stopped: finding.ResourceExceeded, reached: "bytes of disk"},
		{name: "fills the memory file system", argv: []string{"disk", "/tmp/x"}, limit: func(p *rebuild.Plan) { p.Limits.WallSeconds = 1 }, stopped: finding.TimedOut},
		{name: "nests folders", argv: []string{"deep", "/build/out", "3000"}, limit: func(p *rebuild.Plan) { p.Limits.DiskBytes = 64 << 20 }, stopped: finding.ResourceExceeded, reached: "512 deep"},
		{name: "prints without end", argv: []string{"flood", "200000000"}, log: "bytes left out"},
		{name: "leaves processes behind", argv: []string{"orphans"}},
		{name: "fails", argv: []string{"exit", "3"}, stopped: finding.BuildFailed, exit: 3, log: "leaving with 3\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := r.plan(tc.argv...)
			if tc.limit != nil {
				tc.limit(p)
			}
			res := r.run(t, p, r.workspace(t))
			if res.Stopped != tc.stopped || !strings.Contains(res.Reached, tc.reached) {
				t.Errorf("stopped %q, reached %q; want %q, %q", res.Stopped, res.Reached, tc.stopped, tc.reached)
			}
			if tc.stopped == finding.BuildFailed && res.ExitCode != tc.exit {
				t.Errorf("exit code %d, want %d", res.ExitCode, tc.exit)
			}
			if !strings.Contains(res.Log, tc.log) || len(res.Log) > logHead+logTail+100 {
				t.Errorf("log %q", res.Log)
			}
			r.checkNothingLeft(t)
		})
	}
}

func TestEscapes(t *testing.T) {
	r := newRig(t)
	w := r.workspace(t)
	res := r.run(t, r.plan("escape"), w)
	if res.Stopped != "" || strings.Contains(res.Log, "DID") {
		t.Errorf("stopped %q: %s", res.Stopped, res.Log)
	}
	if b, err := os.ReadFile(filepath.Join(w.Dir, "out/x")); err != nil || string(b) != "allowed" {
		t.Errorf("inside its folder it may write: %q, %v", b, err)
	}
	held, err := os.ReadFile(filepath.Join(r.cfg.CacheDir, r.image.Hex(), "bin/helper"))
	if err != nil || string(held) != string(helper) {
		t.Errorf("the image was changed, %v", err)
	}
}

func TestRecipeThatCannotStart(t *testing.T) {
	r := newRig(t)
	for name, change := range map[string]func(*rebuild.Plan){
		"no such command":          func(p *rebuild.Plan) { p.Argv[0] = "/bin/nothing" },
		"no such command by name":  func(p *rebuild.Plan) { p.Argv[0] = "nothing" },
		"a folder":                 func(p *rebuild.Plan) { p.Argv[0] = "/etc" },
		"no such working folder":   func(p *rebuild.Plan) { p.Dir = "/build/source/nothing" },
		"working folder by a link": func(p *rebuild.Plan) { p.Dir = "/build/source/link" },
	} {
		t.Run(name, func(t *testing.T) {
			p := r.plan("ok")
			change(p)
			w := r.workspace(t)
			if err := os.Symlink("/", filepath.Join(w.Dir, "source/link")); err != nil {
				t.Fatal(err)
			}
			if res := r.run(t, p, w); res.Stopped != finding.BuildFailed || res.ExitCode != notFound || res.Reached == "" {
				t.Errorf("%+v", res)
			}
		})
	}
}

func TestCancelEndsTheContainer(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	begun := time.Now()
	_, err := r.Run(ctx, r.plan("sleep"), r.workspace(t))
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(begun))
	}
}

func TestRunsSideBySide(t *testing.T) {
	r := newRig(t)
	ended := make(chan error)
	for range 4 {
		w := r.workspace(t)
		go func() {
			res, err := r.Run(context.Background(), r.plan("write", "/build/out/x", "hello"), w)
			if err == nil && res.Stopped != "" {
				err = errors.New(res.Log)
			}
			ended <- err
		}()
	}
	for range 4 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// A container whose keeper has died is ended by the next Sandbox with the same state.
func TestSweepAfterCrash(t *testing.T) {
	r := newRig(t)
	bundleDir := filepath.Join(r.bundles, idPrefix+"dead")
	if err := os.MkdirAll(bundleDir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := r.images.folder(t.Context(), r.image, r.blobs.Open); err != nil {
		t.Fatal(err)
	}
	w := r.workspace(t)
	b := bundle{plan: r.plan("sleep"), rootfs: filepath.Join(r.cfg.CacheDir, r.image.Hex()), build: w.Dir, group: r.group(filepath.Base(bundleDir))}
	if err := b.write(bundleDir); err != nil {
		t.Fatal(err)
	}
	if err := r.runtime.command("run", "--detach", "--bundle", bundleDir, filepath.Base(bundleDir)).Run(); err != nil {
		t.Fatal(err)
	}
	if len(helpersRunning(t)) == 0 {
		t.Fatal("nothing to sweep")
	}
	if _, err := New(r.cfg); err != nil {
		t.Fatal(err)
	}
	if left := helpersRunning(t); len(left) > 0 {
		t.Errorf("still running: %v", left)
	}
}

func TestNewSaysWhatIsMissing(t *testing.T) {
	dir := t.TempDir()
	if _, err := New(Config{Runtime: "no-such-runtime", StateDir: dir, CacheDir: dir}); err == nil || !strings.Contains(err.Error(), "apt-get install runc") && os.Geteuid() == 0 {
		t.Errorf("%v", err)
	}
	if _, err := exec.LookPath("true"); err == nil && os.Geteuid() == 0 {
		if _, err := New(Config{Runtime: "true", StateDir: dir, CacheDir: dir}); err == nil || !strings.Contains(err.Error(), "--keep") {
			t.Errorf("%v", err)
		}
	}
}
