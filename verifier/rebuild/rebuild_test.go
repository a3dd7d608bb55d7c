package rebuild_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/countersign-escrow/countersign/verifier/rebuild"
	"github.com/countersign-escrow/countersign/verifier/rebuild/rebuildtest"
	"github.com/countersign-escrow/countersign/verifier/rebuild/sandbox"
)

// rig is a Rebuilder with a real sandbox, and a release that its recipe rebuilds with the sandbox's test program.
type rig struct {
	*rebuild.Rebuilder
	materials *rebuildtest.Materials
	manifest  *manifest.Manifest
	clock     *clock
	workDir   string
}

// clock notes when a sandbox's runs begin and end, and when the folders were made in which they run.
type clock struct {
	rebuild.Sandbox
	made, began, ended []time.Time
}

func (c *clock) Run(ctx context.Context, p *rebuild.Plan, w rebuild.Workspace) (rebuild.Result, error) {
	if fi, err := os.Stat(filepath.Join(w.Dir, "out")); err == nil {
		c.made = append(c.made, fi.ModTime())
	}
	c.began = append(c.began, time.Now())
	res, err := c.Sandbox.Run(ctx, p, w)
	c.ended = append(c.ended, time.Now())
	return res, err
}

var source = digest.Of([]byte("a source"))

func newRig(t *testing.T) *rig {
	t.Helper()
	if _, err := exec.LookPath("runc"); err != nil || os.Geteuid() != 0 {
		t.Skip("runc is not installed, or not root")
	}
	dir := t.TempDir()
	box, err := sandbox.New(sandbox.Config{StateDir: filepath.Join(dir, "state"), CacheDir: filepath.Join(dir, "cache"), CgroupParent: "/countersign-test-rebuild"})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{
		materials: &rebuildtest.Materials{Blobs: rebuildtest.Blobs{}, Sources: map[digest.Digest]map[string]string{source: {"a/input": "the program\n"}}},
		clock:     &clock{Sandbox: box},
		workDir:   filepath.Join(dir, "work"),
	}
	r.manifest = &manifest.Manifest{
		Schema:      manifest.Schema,
		Product:     "organizations/acme/products/router",
		Version:     "1.0.0",
		Sources:     []manifest.Source{{Kind: manifest.Archive, Name: "src.tar", Digest: source}},
		Environment: manifest.Environment{Image: r.image(t, runtime.GOARCH)},
	}
	r.Rebuilder, err = rebuild.New(rebuild.Config{Sandbox: r.clock, Materials: r.materials, WorkDir: r.workDir, Progress: func(s string) { t.Log(s) }})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) image(t *testing.T, arch string) digest.Digest {
	t.Helper()
	helper := rebuildtest.Program(t, "./sandbox/testdata/helper")
	return rebuildtest.Image(t, r.materials.Blobs, "linux", arch, []string{"PATH=/opt"},
		rebuildtest.Plain(rebuildtest.Layer(t, rebuildtest.File("opt/helper", 0o755, helper))))
}

// ship makes the release hold one artifact, which the recipe is to leave at the path.
func (r *rig) ship(shipped, rebuilt string, argv ...string) {
	d := r.materials.Blobs.Put([]byte(shipped))
	r.manifest.Artifacts = []manifest.Artifact{{Path: "bin/x", Digest: d, Size: int64(len(shipped)), Rebuilt: rebuilt, Platform: "linux/" + runtime.GOARCH}}
	r.manifest.Recipe = manifest.Recipe{Argv: argv, Limits: manifest.Limits{WallSeconds: 5, MemoryBytes: 128 << 20, Processes: 64, OutputBytes: 1 << 20}}
}

func (r *rig) findings(t *testing.T) (whole, artifact finding.Finding) {
	t.Helper()
	found, err := r.Rebuild(t.Context(), r.manifest)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 2 || found[0].Check != finding.Rebuild || found[1].Check != finding.Comparison || found[1].Artifact != "bin/x" {
		t.Fatalf("findings %+v", found)
	}
	left, _ := filepath.Glob(filepath.Join(r.workDir, "run-*"))
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	t.Logf("%s; %s", found[0].Summary, found[1].Summary)
	return found[0], found[1]
}

func TestVerdicts(t *testing.T) {
	r := newRig(t)
	const out = "/build/out/x"
	for _, tc := range []struct {
		name    string
		shipped string
		rebuilt string
		argv    []string
		change  func()
		verdict finding.Verdict
		whole   finding.Outcome
		runs    int
		words   string // a part of the artifact's summary
	}{
		{name: "same bytes", shipped: "the program\n", argv: []string{"helper", "copy", "a/input", out}, verdict: finding.Match, whole: finding.Passed, runs: 1, words: "same bytes"},
		{name: "beside the source", shipped: "hello", rebuilt: "x", argv: []string{"helper", "write", "x", "hello"}, verdict: finding.Match, whole: finding.Passed, runs: 1},
		{name: "one byte differs", shipped: "the progrAm\n", argv: []string{"helper", "copy", "a/input", out}, verdict: finding.DiffersStable, whole: finding.Passed, runs: 2, words: "1 bytes differ from the shipped file, first at offset 0x9"},
		{name: "time of day", shipped: "2020-01-01T00:00:00Z", argv: []string{"helper", "time", out}, verdict: finding.DiffersUnstable, whole: finding.Passed, runs: 2, words: "not deterministic"},
		{name: "depends on the user, shipped from the second", shipped: "1001", argv: []string{"helper", "uid", out}, verdict: finding.DiffersUnstable, whole: finding.Passed, runs: 2},
		{name: "nothing made", shipped: "x", argv: []string{"helper", "ok"}, verdict: finding.NotProduced, whole: finding.Passed, runs: 1, words: "nothing is at /build/out/x"},
		{name: "a link made", shipped: "x", argv: []string{"helper", "symlink", "/etc/passwd", out}, verdict: finding.NotProduced, whole: finding.Passed, runs: 1, words: "a symbolic link"},
		{name: "a link on the way", shipped: "x", rebuilt: "/build/out/dir/passwd", argv: []string{"helper", "symlink", "/etc", "/build/out/dir"}, verdict: finding.NotProduced, whole: finding.Passed, runs: 1},
		{name: "a link to this rebuilder's own folder", shipped: "x", rebuilt: "/build/out/dir/0", argv: []string{"helper", "symlink", "../../kept", "/build/out/dir"}, verdict: finding.NotProduced, whole: finding.Passed, runs: 1},
		{name: "a pipe made", shipped: "x", argv: []string{"helper", "fifo", out}, verdict: finding.NotProduced, whole: finding.Passed, runs: 1, words: "a named pipe"},
		{name: "a folder made", shipped: "x", argv: []string{"helper", "mkdir", out}, verdict: finding.NotProduced, whole: finding.Passed, runs: 1, words: "a folder"},
		{name: "a second name of a file", shipped: "the program\n", argv: []string{"helper", "hardlink", "a/input", out}, verdict: finding.Match, whole: finding.Passed, runs: 1},
		{name: "too large", shipped: "x", argv: []string{"helper", "truncate", out, "1048577"}, verdict: finding.ResourceExceeded, whole: finding.Undecided, runs: 1, words: "1048577 bytes, 1048576 allowed"},
		{name: "fails", shipped: "x", argv: []string{"helper", "exit", "9"}, verdict: finding.BuildFailed, whole: finding.Failed, runs: 1, words: "exit code 9"},
		{name: "no such command", shipped: "x", argv: []string{"nothing"}, verdict: finding.BuildFailed, whole: finding.Failed, runs: 1, words: "executable file not found"},
		{name: "reaches for the network", shipped: "x", argv: []string{"helper", "net"}, verdict: finding.BuildFailed, whole: finding.Failed, runs: 1},
		{name: "never ends", shipped: "x", argv: []string{"helper", "sleep"}, change: func() { r.manifest.Recipe.Limits.WallSeconds = 1 }, verdict: finding.TimedOut, whole: finding.Undecided, runs: 1},
		{name: "forks without end", shipped: "x", argv: []string{"helper", "forks"}, verdict: finding.ResourceExceeded, whole: finding.Undecided, runs: 1},
		{name: "allocates without end", shipped: "x", argv: []string{"helper", "memory"}, verdict: finding.ResourceExceeded, whole: finding.Undecided, runs: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.rebuilt == "" {
				tc.rebuilt = out
			}
			r.ship(tc.shipped, tc.rebuilt, tc.argv...)
			if tc.change != nil {
				tc.change()
			}
			whole, f := r.findings(t)
			if f.Verdict != tc.verdict || f.Outcome != tc.verdict.Outcome() || !strings.Contains(f.Summary, tc.words) {
				t.Errorf("%s, %s: %s", f.Verdict, f.Outcome, f.Summary)
			}
			if whole.Outcome != tc.whole || whole.Verdict != "" {
				t.Errorf("rebuild: %s %s", whole.Outcome, whole.Verdict)
			}
			if len(whole.Evidence.Runs) != tc.runs || len(f.Evidence.Runs) != tc.runs {
				t.Errorf("%d runs in evidence, want %d", len(whole.Evidence.Runs), tc.runs)
			}
		})
	}
}

func TestEvidence(t *testing.T) {
	r := newRig(t)
	r.ship("the progrAm\n", "/build/out/x", "helper", "copy", "a/input", "/build/out/x")
	whole, f := r.findings(t)
	first, second := whole.Evidence.Runs[0], whole.Evidence.Runs[1]
	if first.Plan == second.Plan || first.Conditions["uid"] != "1000" || second.Conditions["uid"] != "1001" || first.Result != "ENDED" ||
		!strings.HasPrefix(first.Runtime, "runc ") || first.WallMillis == 0 {
		t.Errorf("%+v\n%+v", first, second)
	}
	want := digest.Of([]byte("the program\n"))
	c := f.Evidence.Comparison
	if c.Shipped != r.manifest.Artifacts[0].Digest || len(c.Rebuilt) != 2 || c.Rebuilt[0] != want || c.Rebuilt[1] != want || c.DifferingBytes != 1 || c.DifferingRanges != 1 {
		t.Errorf("%+v", c)
	}
	if len(f.Causes) != 1 || f.Causes[0] != (finding.Cause{Type: finding.Content, Place: "offset 0x9", Offset: 9, Length: 1, ShippedExcerpt: "41", RebuiltExcerpt: "61"}) {
		t.Errorf("%+v", f.Causes)
	}
}

// A file's time in whole seconds, or in two of them, tells the runs apart whether the recipe made the file or found it.
func TestRunsAreApartInTime(t *testing.T) {
	r := newRig(t)
	r.ship("another program\n", "/build/out/x", "helper", "copy", "a/input", "/build/out/x")
	r.findings(t)
	c := r.clock
	if len(c.made) != 2 || len(c.ended) != 2 {
		t.Fatalf("runs %+v", c)
	}
	const least = 1900 * time.Millisecond // the times of files lag a little
	if d := c.made[1].Sub(c.made[0]); d < least {
		t.Errorf("the folders were made %v apart", d)
	}
	if d := c.began[1].Sub(c.ended[0]); d < least {
		t.Errorf("the second run began %v after the first one ended", d)
	}
}

// The source's own time reaches the build, so that a recipe can use it in place of the clock.
func TestSourceTimeReachesTheBuild(t *testing.T) {
	r := newRig(t)
	r.ship("x", "/build/out/x", "helper", "facts")
	whole, _ := r.findings(t)
	if log := whole.Evidence.Runs[0].LogTail; !strings.Contains(log, "env SOURCE_DATE_EPOCH=1709208000\n") || !strings.Contains(log, "env PATH=/opt\n") {
		t.Error(log)
	}
}

func TestWhatIsNotInEscrow(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, r *rig){
		"no image":         func(_ *testing.T, r *rig) { r.manifest.Environment.Image = digest.Of([]byte("none")) },
		"no layer":         func(_ *testing.T, r *rig) { dropLargest(r.materials.Blobs) },
		"no source":        func(_ *testing.T, r *rig) { r.manifest.Sources[0].Digest = digest.Of([]byte("none")) },
		"malformed source": func(_ *testing.T, r *rig) { r.materials.SourceErr = fault.Invalidf("src.tar", "byte 7: no archive") },
		"another platform": func(t *testing.T, r *rig) { r.manifest.Environment.Image = r.image(t, "s390x") },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.ship("x", "/build/out/x", "helper", "ok")
			change(t, r)
			whole, f := r.findings(t)
			if f.Verdict != finding.Incomplete || f.Outcome != finding.Undecided || whole.Outcome != finding.Undecided || len(whole.Evidence.Runs) != 0 {
				t.Errorf("%s, %s, %+v", f.Verdict, f.Outcome, whole)
			}
		})
	}
}

func dropLargest(b rebuildtest.Blobs) {
	var largest digest.Digest
	for d := range b {
		if len(b[d]) > len(b[largest]) {
			largest = d
		}
	}
	delete(b, largest)
}

// What goes wrong on this side is an error, never a finding about the vendor's release.
func TestOwnFailuresAreNoFindings(t *testing.T) {
	r := newRig(t)
	r.ship("x", "/build/out/x", "helper", "sleep")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Rebuild(ctx, r.manifest); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	lost := errors.New("connection lost")
	r.materials.SourceErr = lost
	if _, err := r.Rebuild(t.Context(), r.manifest); !errors.Is(err, lost) {
		t.Errorf("materials: %v", err)
	}
	r.materials.SourceErr = nil
	r.ship("hello", "/build/out/x", "helper", "write", "/build/out/x", "rebuilt")
	r.materials.Blobs[r.manifest.Artifacts[0].Digest] = []byte("rebuilt")
	if _, err := r.Rebuild(t.Context(), r.manifest); !fault.Is(err, fault.Corrupt) {
		t.Errorf("a shipped file that is not what its digest says: %v", err)
	}
}

func TestLaterSourceIsNotLedAstray(t *testing.T) {
	r := newRig(t)
	r.ship("x", "/build/out/x", "helper", "ok")
	linking := digest.Of([]byte("linking"))
	r.materials.Sources[linking] = map[string]string{"sub": "a file where the next source wants a folder"}
	r.manifest.Sources = []manifest.Source{
		{Kind: manifest.Archive, Name: "one.tar", Digest: linking},
		{Kind: manifest.Archive, Name: "two.tar", Digest: source, Into: "sub"},
	}
	if _, f := r.findings(t); f.Verdict != finding.Incomplete || !strings.Contains(f.Summary, "two.tar") {
		t.Errorf("%s: %s", f.Verdict, f.Summary)
	}
}
