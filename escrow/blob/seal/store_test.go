package seal_test

import (
	"testing"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/blob/blobtest"
	"github.com/countersign-escrow/countersign/escrow/blob/fs"
	"github.com/countersign-escrow/countersign/escrow/blob/seal"
	"github.com/countersign-escrow/countersign/escrow/blob/seal/sealtest"
)

func TestConformance(t *testing.T) {
	type parts struct {
		dir     string
		objects *fs.Store
		records *sealtest.Records
	}
	opened := make(map[*seal.Store]parts)
	open := func(t *testing.T, dir string, records *sealtest.Records) blob.Store {
		objects, err := fs.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		s := sealtest.Over(objects, records)
		opened[s] = parts{dir, objects, records}
		return s
	}
	blobtest.Run(t, blobtest.Backend{
		New: func(t *testing.T) blob.Store { return open(t, t.TempDir(), &sealtest.Records{}) },
		Reopen: func(t *testing.T, former blob.Store) blob.Store {
			p := opened[former.(*seal.Store)]
			if err := p.objects.Close(); err != nil {
				t.Fatal(err)
			}
			return open(t, p.dir, p.records)
		},
	})
}
