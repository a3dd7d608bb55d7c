package evaluation

import (
	"context"
	"fmt"
	"io"
)

// chunk is some bytes of a range, or why there are none.
type chunk struct {
	data []byte
	err  error
}

// readAhead reads a range in chunks while those before are sent. Whoever reads the channel and wants no more cancels ctx and
// reads it to its end: then nothing is read any more.
func readAhead(ctx context.Context, r io.ReaderAt, from, to int64) <-chan chunk {
	out := make(chan chunk, 1)
	go func() {
		defer close(out)
		for at := from; at < to; {
			// A message may still be on its way when the next one is read: each has bytes of its own.
			c := chunk{data: make([]byte, min(chunkBytes, to-at))}
			if n, err := r.ReadAt(c.data, at); n < len(c.data) { // at the end of the file, a whole read may come with EOF
				c.err = fmt.Errorf("at %d: %w", at, err)
			}
			select {
			case out <- c:
			case <-ctx.Done():
				return
			}
			if c.err != nil {
				return
			}
			at += int64(len(c.data))
		}
	}()
	return out
}
