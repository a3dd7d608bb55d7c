package fs

import (
	"errors"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/countersign-escrow/countersign/escrow/blob/object/objecttest"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

// A holder cannot fill the disk; what it sent before it was full is not lost.
func TestAFullDiskTakesNoDrafts(t *testing.T) {
	s, name := open(t, t.TempDir()), named("a")
	left := int64(10)
	s.room = func(string) (int64, error) { return left, nil }
	if _, err := s.Draft(t.Context(), name, 11); !fault.Is(err, fault.Exhausted) {
		t.Errorf("a draft that cannot fit: %v", err)
	}
	if all := files(t, s.dir); len(all) != 0 {
		t.Errorf("it has left %v", all)
	}

	d := begin(t, s, name, 10, []byte("1234567"))
	left = 2 // others have taken the room meanwhile
	if err := d.Save(t.Context(), []byte("note")); !fault.Is(err, fault.Exhausted) {
		t.Errorf("saved beyond the room: %v", err)
	}
	must(t, d.Close())
	left = 3
	d = begin(t, s, name, 10, []byte("890"))
	if at := d.Checkpoint(); at.Offset != 7 || string(at.Note) != "note" {
		t.Errorf("goes on at %+v", at)
	}
	must(t, d.Commit(t.Context()))
	objecttest.WantHeld(t, s, name, []byte("1234567890"))

	left = 0
	if _, err := s.Draft(t.Context(), named("b"), -1); !fault.Is(err, fault.Exhausted) {
		t.Errorf("a draft of unknown size on a full disk: %v", err)
	}
}

// The kernel's own word for a full disk is the same fault as ours.
func TestNoSpaceLeft(t *testing.T) {
	s := open(t, t.TempDir())
	d := begin(t, s, named("a"), 10, nil).(*draft)
	for _, errno := range []unix.Errno{unix.ENOSPC, unix.EDQUOT} {
		var f *fault.Error
		if err := d.fail("write", errno); !errors.As(err, &f) || f.Reason != "NO_ROOM" {
			t.Errorf("%v: %v", errno, err)
		}
	}
}

func TestRoom(t *testing.T) {
	if left, err := room(t.TempDir()); err != nil || left > 1<<60 {
		t.Errorf("%d (%v)", left, err)
	}
	if _, err := room(filepath.Join(t.TempDir(), "nowhere")); err == nil {
		t.Error("room in a folder that is not there")
	}
}
