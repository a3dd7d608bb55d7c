package materials

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/intake"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/verifier/rebuild/rebuildtest"
)

func TestAGitLFSObjectThatIsHeld(t *testing.T) {
	s := store(t)
	large := []byte("the large file")
	pointer := fmt.Sprintf("version https://git-lfs.github.com/spec/v1\noid %s\nsize %d\n", digest.Of(large), len(large))
	packed := rebuildtest.Layer(t, rebuildtest.File("data.bin", 0o644, []byte(pointer)))
	source := manifest.Source{Kind: manifest.Archive, Name: "s.tar", Digest: put(t, s, packed), Size: int64(len(packed)),
		LFS: []manifest.File{{Digest: digest.Of(large), Size: int64(len(large))}}}
	h := Held{Store: s, Vendor: acme, Sources: []manifest.Source{source}, Scratch: t.TempDir(), Limits: intake.DefaultLimits()}
	if err := h.Source(t.Context(), source, t.TempDir()); !fault.Is(err, fault.NotFound) {
		t.Errorf("before it is held: %v", err)
	}
	put(t, s, large)
	dir := t.TempDir()
	if err := h.Source(t.Context(), source, dir); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "data.bin")); err != nil || string(b) != string(large) {
		t.Errorf("%q, %v", b, err)
	}
	source.Size++
	if err := h.Source(t.Context(), source, t.TempDir()); !fault.Is(err, fault.Corrupt) || !strings.Contains(err.Error(), "the manifest says") {
		t.Errorf("another size than the manifest's: %v", err)
	}
}
