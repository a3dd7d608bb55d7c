//go:build bench

package gitpack

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestBenchPacks opens each of the packs $BENCH_PACKS in a process of its own, and lets stock git check it, in turn.
func TestBenchPacks(t *testing.T) {
	packs := filepath.SplitList(os.Getenv("BENCH_PACKS"))
	if len(packs) == 0 {
		t.Skip("is a part of .ci/bench-pack")
	}
	for _, pack := range packs {
		name := "intake-" + strings.TrimSuffix(filepath.Base(pack), ".pack")
		var ours, peer []cost
		for range 5 {
			ours = append(ours, run(t, []string{"BENCH_OPEN=" + pack}, os.Args[0], "-test.run", "^TestBenchOpen$"))
			peer = append(peer, run(t, nil, "git", "index-pack", "--strict", "-o", filepath.Join(t.TempDir(), "x.idx"), pack))
		}
		report(name, "s", "1.0", median(ours, cost.wallTime), median(peer, cost.wallTime))
		report(name+"-cpu", "s", "-", median(ours, cost.cpuTime), median(peer, cost.cpuTime))
		const bound = 256
		a, b := median(ours, cost.memory), median(peer, cost.memory)
		fmt.Printf("BENCH %s-memory ours=%.0fMiB peer=%.0fMiB ratio=%.3f aim=1\n", name, a, b, a/bound)
	}
}

func report(name, unit, aim string, ours, peer float64) {
	fmt.Printf("BENCH %s ours=%.2f%s peer=%.2f%s ratio=%.3f aim=%s\n", name, ours, unit, peer, unit, ours/peer, aim)
}

// cost is what a process took.
type cost struct {
	wall, cpu time.Duration
	peak      float64 // MiB
}

func (c cost) wallTime() float64 { return c.wall.Seconds() }
func (c cost) cpuTime() float64  { return c.cpu.Seconds() }
func (c cost) memory() float64   { return c.peak }

func median(all []cost, of func(cost) float64) float64 {
	var values []float64
	for _, c := range all {
		values = append(values, of(c))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func run(t *testing.T, env []string, name string, args ...string) cost {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	start := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
	return cost{time.Since(start), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), peak(cmd.ProcessState)}
}

// TestBenchOpen opens the pack $BENCH_OPEN once.
func TestBenchOpen(t *testing.T) {
	path := os.Getenv("BENCH_OPEN")
	if path == "" {
		t.Skip("is a part of .ci/bench-pack")
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	defer profile(t)()
	lim := Limits{MaxObjects: 2_000_000, MaxObjectBytes: 256 << 20, MaxInflated: 250 * info.Size()}
	p, err := Open(context.Background(), f, info.Size(), nil, t.TempDir(), lim)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}

// profile writes a profile of the processor time to $BENCH_PROFILE.
func profile(t *testing.T) (stop func()) {
	path := os.Getenv("BENCH_PROFILE")
	if path == "" {
		return func() {}
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		t.Fatal(err)
	}
	return func() {
		pprof.StopCPUProfile()
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}
