package signature

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// What judging a release may read of its files: each signature over a file reads it anew, and 64 may be over the largest one.
const (
	leastRead = 1 << 30 // bytes
	timesRead = 8       // all files together, on top of that
)

// errSpent says that judging a release has read as much as it may.
var errSpent = errors.New("the signatures of the release read its files more often than is allowed: send fewer, or sign a list of checksums")

// budget is how many bytes of a release's files may still be read.
type budget struct{ left atomic.Int64 }

func newBudget(files []proof.File) *budget {
	b := new(budget)
	most := int64(leastRead)
	for _, f := range files {
		most += timesRead * f.Size
	}
	b.left.Store(most)
	return b
}

// charge returns the file with its reads counted.
func (b *budget) charge(f proof.File) proof.File {
	open := f.Open
	f.Open = func(ctx context.Context) (proof.Content, error) {
		c, err := open(ctx)
		if err != nil {
			return nil, err
		}
		return charged{c, b}, nil
	}
	return f
}

type charged struct {
	proof.Content
	budget *budget
}

func (c charged) ReadAt(p []byte, at int64) (int, error) {
	if c.budget.left.Add(-int64(len(p))) < 0 {
		return 0, errSpent
	}
	return c.Content.ReadAt(p, at)
}
