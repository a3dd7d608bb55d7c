package agent

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/intake"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/verifier/rebuild"
	"github.com/countersign-escrow/countersign/verifier/rebuild/rebuildtest"
)

var _ rebuild.Materials = (*Materials)(nil)

// A source comes whole out of what the service sends, with the Git LFS object that completes it; each of the two files is fetched.
func TestMaterialsOfASource(t *testing.T) {
	large := []byte("the large file")
	pointer := "version https://git-lfs.github.com/spec/v1\noid " + digest.Of(large).String() + "\nsize 14\n"
	packed := rebuildtest.Layer(t, rebuildtest.File("data.bin", 0o644, []byte(pointer)))
	source := manifest.Source{Kind: manifest.Archive, Name: "s.tar", Digest: digest.Of(packed), Size: int64(len(packed)),
		LFS: []manifest.File{{Digest: digest.Of(large), Size: int64(len(large))}}}
	f := &fakeFiles{content: string(packed)}
	c, cached := newCache(t, f)
	if _, err := open(t, c, source.Digest, source.Size); err != nil {
		t.Fatal(err)
	}
	f.content = string(large)
	m := &Materials{Cache: c, Release: release, Sources: []manifest.Source{source}, Scratch: t.TempDir(), Limits: intake.DefaultLimits()}
	dir := t.TempDir()
	if err := m.Source(t.Context(), source, dir); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "data.bin")); err != nil || string(b) != string(large) {
		t.Errorf("%q, %v", b, err)
	}
	if entries, err := os.ReadDir(cached); err != nil || len(entries) != 2 {
		t.Errorf("%d files in the cache, %v", len(entries), err)
	}
	source.LFS = nil
	m.Sources[0] = source
	if err := m.Source(t.Context(), source, t.TempDir()); !fault.Is(err, fault.Precondition) {
		t.Errorf("without the object: %v", err)
	}
}
