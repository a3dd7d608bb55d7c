package fs

import (
	"path/filepath"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/blob/object/objecttest"
)

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	beside := func(t *testing.T, s object.Store) object.Store { return open(t, s.(*Store).dir) }
	objecttest.Run(t, objecttest.Backend{
		New: func(t *testing.T) object.Store { return open(t, filepath.Join(t.TempDir(), "a", "b")) },
		Reopen: func(t *testing.T, former object.Store) object.Store {
			if err := former.(*Store).Close(); err != nil {
				t.Fatal(err)
			}
			return beside(t, former)
		},
		Beside:      beside,
		BufferBytes: 1 << 20,
	})
}
