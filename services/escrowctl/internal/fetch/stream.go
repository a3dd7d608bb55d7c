package fetch

import (
	"context"
	"io"
	"os"

	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
)

type chunk struct {
	data []byte
	err  error
}

// receiveAhead receives a stream while what came before is hashed and written. Whoever reads the channel cancels ctx when it
// wants no more.
func receiveAhead(ctx context.Context, stream interface {
	Recv() (*pb.ReadBlobResponse, error)
}) <-chan chunk {
	out := make(chan chunk, 2)
	go func() {
		defer close(out)
		for {
			m, err := stream.Recv()
			if err == io.EOF {
				return
			}
			select {
			case out <- chunk{m.GetData(), err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return out
}

// flushBytes is how much is written before the disk is told to begin with it.
const flushBytes = 32 << 20

// flusher syncs a file beside the writing of it, so that little is left to sync at the end.
type flusher struct {
	file    *os.File
	pending int64
	busy    chan error // holds the outcome of the sync under way
}

// wrote counts bytes, and starts a sync where one is due and none is under way.
func (f *flusher) wrote(n int64) {
	if f.pending += n; f.pending < flushBytes {
		return
	}
	if f.busy == nil {
		f.busy = make(chan error, 1)
		f.busy <- nil
	}
	select {
	case err := <-f.busy:
		f.pending = 0
		go func() {
			if err == nil {
				err = f.file.Sync()
			}
			f.busy <- err
		}()
	default:
	}
}

// wait returns the first error of the syncs so far, when they have ended.
func (f *flusher) wait() error {
	if f.busy == nil {
		return nil
	}
	err := <-f.busy
	f.busy <- err
	return err
}
