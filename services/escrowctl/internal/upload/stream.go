package upload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/countersign-escrow/countersign/escrow/fault"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
)

// chunk is how many bytes one message carries. The API allows 1 MiB.
const chunk = 512 << 10

// The defaults of Retry and Patience, and the longest pause between two attempts. A service may take most of a minute to
// notice that an earlier client, which still holds the upload, is dead.
const (
	firstPause = 200 * time.Millisecond
	mostPause  = 5 * time.Second
	patience   = 2 * time.Minute
)

type result struct{ sent, resumed, again int64 }

// send sends one blob, going on where the service says as often as it takes.
func (s *Sender) send(ctx context.Context, b Blob) (result, error) {
	content, err := b.Open()
	if err != nil {
		return result{}, err
	}
	defer content.Close()
	t := &transfer{Sender: s, blob: b, content: content}
	first, most := orDefault(s.Retry, firstPause), orDefault(s.Patience, patience)
	for pause, headway := first, time.Now(); ; {
		before := t.best
		err := t.attempt(ctx)
		if err == nil || !passing(err) || ctx.Err() != nil {
			return t.count(err), t.describe(ctx, err)
		}
		if t.best > before || waiting(err) {
			headway = time.Now()
		}
		if t.best > before {
			pause = first
		}
		if time.Since(headway) > most {
			return t.count(err), fmt.Errorf("%s: gave up after %s without headway: %w", b.Name, most, err)
		}
		s.Progress.Note(fmt.Sprintf("RETRY %s: %v", b.Name, err))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, mostPause)
	}
}

// count returns the result of a transfer. What was sent of a whole blob beyond its bytes was sent again.
func (t *transfer) count(err error) result {
	if err == nil {
		t.result.again = max(0, t.result.sent-(t.blob.Size-t.result.resumed))
	}
	return t.result
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// transfer is one blob on its way.
type transfer struct {
	*Sender
	blob    Blob
	content io.ReaderAt
	shown   int64 // what Progress was told
	best    int64 // the furthest offset that the service was ever known to hold
	started bool
	result  result
}

// attempt asks how far the upload is and streams the rest.
func (t *transfer) attempt(ctx context.Context) error {
	st, err := t.Service.QueryWriteStatus(ctx, &pb.QueryWriteStatusRequest{ResourceName: t.resourceName(t.blob)})
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	offset := st.GetCommittedSize()
	if st.GetComplete() {
		offset = t.blob.Size
	}
	if offset < 0 || offset > t.blob.Size {
		return fault.Corruptf(t.resourceName(t.blob), "the service says that it holds %d of %d bytes", offset, t.blob.Size)
	}
	t.resume(offset)
	if st.GetComplete() {
		t.Progress.Note(fmt.Sprintf("HELD %s", t.blob.Name))
		return nil
	}
	return t.stream(ctx, offset)
}

// resume notes where an attempt begins.
func (t *transfer) resume(offset int64) {
	t.best = max(t.best, offset)
	if t.started {
		t.show(offset)
	} else {
		t.started, t.shown, t.result.resumed = true, offset, offset
		t.Progress.Resumed(offset)
	}
	if offset > 0 {
		t.Progress.Note(fmt.Sprintf("RESUME %s at byte %d of %d", t.blob.Name, offset, t.blob.Size))
	}
}

// show brings Progress to an offset, forwards or back.
func (t *transfer) show(offset int64) {
	t.Progress.Sent(offset - t.shown)
	t.shown = offset
}

func (t *transfer) stream(ctx context.Context, offset int64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the stream wherever this returns early
	stream, err := t.Service.Write(ctx)
	if err != nil {
		return err
	}
	buf := make([]byte, min(chunk, t.blob.Size-offset))
	for first := true; first || offset < t.blob.Size; first = false {
		n, err := t.read(buf, offset)
		if err != nil {
			return err
		}
		req := &pb.WriteRequest{WriteOffset: offset, Data: buf[:n], FinishWrite: offset+int64(n) == t.blob.Size}
		if first {
			req.ResourceName = t.resourceName(t.blob)
		}
		if err := stream.Send(req); err != nil {
			break // the reason comes with the answer
		}
		offset += int64(n)
		t.result.sent += int64(n)
		t.show(offset)
	}
	resp, err := stream.CloseAndRecv()
	if err != nil {
		if errors.Is(err, io.EOF) {
			return &fault.Error{Kind: fault.Unavailable, Message: "the service closed the stream without an answer"}
		}
		return err
	}
	if resp.GetCommittedSize() != t.blob.Size {
		return fault.Corruptf(t.resourceName(t.blob), "the service says that it holds %d of %d bytes at the end", resp.GetCommittedSize(), t.blob.Size)
	}
	t.Progress.Note(fmt.Sprintf("SENT %s", t.blob.Name))
	return nil
}

func (t *transfer) read(buf []byte, offset int64) (int, error) {
	want := int(min(int64(len(buf)), t.blob.Size-offset))
	n, err := t.content.ReadAt(buf[:want], offset)
	if n == want {
		return n, nil
	}
	if err == io.EOF {
		return 0, fault.Invalidf(t.blob.Name, "became shorter while it was sent").WithAdvice("run the same command again")
	}
	return 0, err
}

// describe names the file in an error.
func (t *transfer) describe(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	default:
		return fmt.Errorf("%s: %w", t.blob.Name, err)
	}
}
