//go:build bench

package sandbox

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/verifier/rebuild"
	"github.com/countersign-escrow/countersign/verifier/rebuild/rebuildtest"
)

// rounds is how often each side runs.
const rounds = 5

// TestBenchGofmt rebuilds gofmt inside the sandbox and with the same command outside, on the same tree, in turn, and
// prints the ratio of the medians. The image is unpacked beforehand; all else that a run costs is counted.
func TestBenchGofmt(t *testing.T) {
	r := newRig(t)
	toolchain := rebuildtest.GoToolchainFolder(t)
	published, err := os.ReadFile(filepath.Join(toolchain, "bin/gofmt"))
	if err != nil {
		t.Fatal(err)
	}
	want := digest.Of(published)
	entries := rebuildtest.GoEnvironment(t, toolchain)
	r.image = rebuildtest.Image(t, r.blobs, "linux", "amd64", nil, rebuildtest.Plain(rebuildtest.Layer(t, entries...)))
	if _, err := r.images.folder(t.Context(), r.image, r.blobs.Open); err != nil {
		t.Fatal(err)
	}
	w := r.workspace(t)
	rebuildtest.GoSource(t, toolchain, filepath.Join(w.Dir, "source"))
	outside := t.TempDir()
	rebuildtest.WriteEntries(t, outside, entries, func(target string) string { return strings.Replace(target, "/build", w.Dir, 1) })

	var ours, peers []time.Duration
	for i := range rounds {
		empty(t, w.Dir)
		begun := time.Now()
		res := r.run(t, r.goPlan(), w)
		ours = append(ours, time.Since(begun))
		if res.Stopped != "" {
			t.Fatalf("%s: %s", res.Stopped, res.Log)
		}
		same(t, filepath.Join(w.Dir, "out/gofmt"), want)

		empty(t, w.Dir)
		begun = time.Now()
		cpu := runOutside(t, outside, w.Dir)
		peers = append(peers, time.Since(begun))
		same(t, filepath.Join(w.Dir, "out/gofmt"), want)
		t.Logf("round %d: inside %v (CPU %v), outside %v (CPU %v)", i+1, ours[i], res.CPU, peers[i], cpu)
	}
	a, b := median(ours), median(peers)
	fmt.Printf("BENCH sandbox-gofmt ours=%.2fs peer=%.2fs ratio=%.3f aim=1.05\n", a.Seconds(), b.Seconds(), a.Seconds()/b.Seconds())
}

func (r *rig) goPlan() *rebuild.Plan {
	p := r.plan()
	p.Argv = rebuildtest.GoRecipe("/build/out/", "cmd/gofmt")
	p.Env = rebuildtest.GoVariables()
	p.Env["PATH"], p.Env["HOME"] = "/usr/local/go/bin", rebuild.Home
	p.Limits = rebuild.DefaultBounds().Default
	p.Dir = manifest.SourceRoot
	return p
}

// runOutside returns the processor time of all processes.
func runOutside(t *testing.T, root, build string) time.Duration {
	t.Helper()
	argv := rebuildtest.GoRecipe(filepath.Join(build, "out")+"/", "cmd/gofmt")
	cmd := exec.Command(filepath.Join(root, argv[0]), argv[1:]...)
	cmd.Dir = filepath.Join(build, "source")
	cmd.Env = []string{"PATH=" + filepath.Join(root, "usr/local/go/bin"), "HOME=" + filepath.Join(build, "home")}
	for k, v := range rebuildtest.GoVariables() {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("outside: %v: %s", err, out)
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

// empty gives a workspace an empty home, and so a cold cache, and an empty out.
func empty(t *testing.T, dir string) {
	t.Helper()
	for _, d := range []string{"home", "out"} {
		if err := os.RemoveAll(filepath.Join(dir, d)); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func same(t *testing.T, file string, want digest.Digest) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := digest.Of(b); got != want {
		t.Fatalf("%s: %s, published is %s", file, got, want)
	}
}

func median(d []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(d))
	return s[len(s)/2]
}
