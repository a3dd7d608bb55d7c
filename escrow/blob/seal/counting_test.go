package seal_test

import (
	"context"
	"sync/atomic"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
)

// counting is a store that counts what is read of its objects.
type counting struct {
	object.Store
	reads, bytes atomic.Int64
}

func (c *counting) Open(ctx context.Context, name object.Name) (object.Object, error) {
	o, err := c.Store.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	return counted{o, c}, nil
}

type counted struct {
	object.Object
	c *counting
}

func (o counted) ReadAt(p []byte, offset int64) (int, error) {
	o.c.reads.Add(1)
	o.c.bytes.Add(int64(len(p)))
	return o.Object.ReadAt(p, offset)
}

// since returns the reads and bytes since it was last called.
func (c *counting) since() (reads, bytes int64) { return c.reads.Swap(0), c.bytes.Swap(0) }
