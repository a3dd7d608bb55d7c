package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
)

// How a stream that broke is opened again.
const (
	firstPause = 250 * time.Millisecond
	mostPause  = 10 * time.Second
	mostAway   = 10 * time.Minute // a service that stays away for longer is given up
)

// receiver is what gRPC's server streams are.
type receiver[T any] interface{ Recv() (T, error) }

// follow reads a stream and opens it again when it breaks, until each says that it has seen enough or fails. What was
// already seen, open has to leave out.
func follow[T any](ctx context.Context, away func(error), open func(context.Context) (receiver[T], error), each func(T) (enough bool, err error)) error {
	last, pause := time.Now(), firstPause
	for {
		enough, got, err := drain(ctx, open, each)
		if enough || ctx.Err() != nil {
			return errors.Join(ctx.Err(), err)
		}
		if err != nil && !fault.Is(err, fault.Unavailable) {
			return err
		}
		if got {
			last, pause = time.Now(), firstPause
		}
		if err == nil {
			err = errors.New("the service ended the stream")
		}
		if time.Since(last) > mostAway {
			return fmt.Errorf("gave up after %s: %w", mostAway, err)
		}
		away(err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, mostPause)
	}
}

// drain reads one stream to its end; got says whether anything came.
func drain[T any](ctx context.Context, open func(context.Context) (receiver[T], error), each func(T) (bool, error)) (enough, got bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := open(ctx)
	if err != nil {
		return false, false, err
	}
	for {
		m, err := stream.Recv()
		if err == io.EOF {
			return false, got, nil
		} else if err != nil {
			return false, got, err
		}
		got = true
		if enough, err := each(m); enough || err != nil {
			return true, true, err
		}
	}
}

// away tells the user that a stream broke and is opened again.
func (a *app) away(err error) { fmt.Fprintf(a.Err, "RECONNECT %s\n", output.Clean(err.Error())) }
