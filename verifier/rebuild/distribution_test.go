//go:build bench

package rebuild_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/countersign-escrow/countersign/verifier/rebuild"
	"github.com/countersign-escrow/countersign/verifier/rebuild/rebuildtest"
	"github.com/countersign-escrow/countersign/verifier/rebuild/sandbox"
)

// distribution gives the sources of a published Go distribution in place of those in memory.
type distribution struct {
	rebuildtest.Materials
	t         *testing.T
	toolchain string
}

func (d *distribution) Source(_ context.Context, _ manifest.Source, dir string) error {
	rebuildtest.GoSource(d.t, d.toolchain, dir)
	return nil
}

// TestGoDistribution rebuilds three programs of a published Go distribution from its sources, to the published bytes;
// one that has a byte changed is told from them.
func TestGoDistribution(t *testing.T) {
	d := &distribution{Materials: rebuildtest.Materials{Blobs: rebuildtest.Blobs{}}, t: t, toolchain: rebuildtest.GoToolchainFolder(t)}
	dir := t.TempDir()
	box, err := sandbox.New(sandbox.Config{StateDir: filepath.Join(dir, "state"), CacheDir: filepath.Join(dir, "cache"), CgroupParent: "/countersign-test-distribution"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := rebuild.New(rebuild.Config{Sandbox: box, Materials: d, WorkDir: filepath.Join(dir, "work"), Progress: func(s string) { t.Log(s) }})
	if err != nil {
		t.Fatal(err)
	}
	m := &manifest.Manifest{
		Schema: manifest.Schema, Product: "organizations/go/products/tools", Version: "1.26.5",
		Sources: []manifest.Source{{Kind: manifest.Archive, Name: "go.tar", Digest: source}},
		Environment: manifest.Environment{Image: rebuildtest.Image(t, d.Blobs, "linux", "amd64", nil,
			rebuildtest.Plain(rebuildtest.Layer(t, rebuildtest.GoEnvironment(t, d.toolchain)...)))},
		Recipe: manifest.Recipe{Argv: rebuildtest.GoRecipe("/build/out/", "cmd/gofmt", "cmd/vet", "cmd/asm"), Env: rebuildtest.GoVariables()},
	}
	for _, p := range []string{"bin/gofmt", "pkg/tool/linux_amd64/asm", "pkg/tool/linux_amd64/vet"} {
		b, err := os.ReadFile(filepath.Join(d.toolchain, p))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(p, "vet") {
			b[1<<20] ^= 1
		}
		m.Artifacts = append(m.Artifacts, manifest.Artifact{Path: p, Digest: d.Blobs.Put(b), Size: int64(len(b)), Rebuilt: "/build/out/" + filepath.Base(p), Platform: "linux/amd64"})
	}
	found, err := r.Rebuild(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []finding.Verdict{"", finding.Match, finding.Match, finding.DiffersStable} {
		t.Log(found[i].Summary)
		if found[i].Verdict != want {
			t.Errorf("%s: %s, want %s; log %s", found[i].Artifact, found[i].Verdict, want, found[0].Evidence.Runs[0].LogTail)
		}
	}
}
