package fs

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

// A holder cannot fill the disk; what it sent before it was full is not lost.
func TestAFullDiskTakesNoUploads(t *testing.T) {
	s := open(t, t.TempDir())
	left := int64(10)
	s.room = func(string) (int64, error) { return left, nil }
	content := bytes.Repeat([]byte("x"), syncBytes+2)
	ref := blob.Ref{Holder: acme, Digest: digest.Of(content)}
	if _, err := s.Resume(t.Context(), ref, int64(len(content))); !fault.Is(err, fault.Exhausted) {
		t.Errorf("an upload that cannot fit: %v", err)
	}
	if left := files(t, s); len(left) != 0 {
		t.Errorf("it has left %v", left)
	}

	left = int64(len(content))
	u, err := s.Resume(t.Context(), ref, int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	left = 1 // others have taken the room meanwhile
	if _, err := u.Write(content[:syncBytes]); !fault.Is(err, fault.Exhausted) {
		t.Errorf("written beyond the room: %v", err)
	}
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	left = 2
	if err := blob.Put(t.Context(), s, ref, int64(len(content)), bytes.NewReader(content)); err != nil {
		t.Errorf("resumed with room for the rest: %v", err)
	}
	if size, err := s.Stat(t.Context(), ref); err != nil || size != int64(len(content)) {
		t.Errorf("%d bytes (%v)", size, err)
	}
}

func TestRoom(t *testing.T) {
	if left, err := room(t.TempDir()); err != nil || left > 1<<60 {
		t.Errorf("%d (%v)", left, err)
	}
	if _, err := room("/nonexistent"); err == nil {
		t.Error("room in a folder that is not there")
	}
}

func TestAbandonedUploadsAreDropped(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	refs := map[string]blob.Ref{}
	for name, age := range map[string]time.Duration{"fresh": abandonedAfter - time.Hour, "old": abandonedAfter + time.Hour} {
		ref := blob.Ref{Holder: acme, Digest: digest.Of([]byte(name))}
		refs[name] = ref
		u, err := s.Resume(t.Context(), ref, int64(len(name)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := u.Write([]byte(name[:2])); err != nil {
			t.Fatal(err)
		}
		if err := u.Close(); err != nil {
			t.Fatal(err)
		}
		then := time.Now().Add(-age)
		if err := os.Chtimes(s.uploadPath(s.name(ref)), then, then); err != nil {
			t.Fatal(err)
		}
	}
	held := put(t, s, acme, []byte("whole"))
	long := time.Now().Add(-10 * abandonedAfter)
	if err := os.Chtimes(s.objectPath(s.name(held)), long, long); err != nil {
		t.Fatal(err)
	}

	s = open(t, dir)
	for name, want := range map[string]int64{"fresh": 2, "old": 0} {
		if n, err := s.Partial(t.Context(), refs[name]); err != nil || n != want {
			t.Errorf("%s: %d bytes (%v), want %d", name, n, err, want)
		}
	}
	if _, err := s.Stat(t.Context(), held); err != nil {
		t.Errorf("what is held: %v", err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, uploadsFolder)); err != nil || len(left) != 1 {
		t.Errorf("uploads %v (%v)", left, err)
	}
}
