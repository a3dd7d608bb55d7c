package fetch

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
)

type result struct {
	held             bool
	resumed, fetched int64
}

// transfer is one file on its way.
type transfer struct {
	*Fetcher
	want    File
	dir     *os.Root
	partial string // the name of the unfinished file
	file    *os.File
	hash    hash.Hash // of the first offset bytes
	offset  int64     // how many bytes the unfinished file has
	result  result
	flush   flusher
}

// fetch brings one file.
func (f *Fetcher) fetch(ctx context.Context, want File, partial string) (result, error) {
	t := &transfer{Fetcher: f, want: want, partial: partial}
	return t.result, named(ctx, want.Path, t.run(ctx))
}

// named sees to it that an error names the file, once.
func named(ctx context.Context, p string, err error) error {
	var f *fault.Error
	if err == nil || ctx.Err() != nil || errors.As(err, &f) && f.Field == p {
		return err
	}
	return fmt.Errorf("%s: %w", p, err)
}

func (t *transfer) run(ctx context.Context) (err error) {
	if t.dir, err = enter(t.Folder, t.want.Path); err != nil {
		return err
	}
	defer t.dir.Close()
	if held, err := t.held(ctx); held || err != nil {
		return err
	}
	if err := t.open(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	if err := t.bring(ctx); err != nil {
		return err
	}
	return t.finish()
}

// held says whether the file is here under its name, and right.
func (t *transfer) held(ctx context.Context) (bool, error) {
	there, err := regular(t.dir, base(t.want.Path), t.want.Path)
	if err != nil || !there {
		return false, err
	}
	f, err := t.dir.Open(base(t.want.Path))
	if err != nil {
		return false, err
	}
	defer f.Close()
	sum := sha256.New()
	n, err := copyHash(ctx, sum, f)
	if err != nil {
		return false, err
	}
	if n != t.want.Size || digest.FromHash(sum) != t.want.Digest {
		return false, inTheWay(t.want.Path, "is there already, with other content")
	}
	t.result = result{held: true, resumed: n}
	t.Progress.Resumed(n)
	return true, nil
}

// open opens the unfinished file that an earlier run has left, or makes it, and reads what it has.
func (t *transfer) open(ctx context.Context) error {
	there, err := regular(t.dir, t.partial, t.want.Path)
	if err != nil {
		return err
	}
	flags := os.O_RDWR
	if !there {
		flags |= os.O_CREATE | os.O_EXCL
	}
	if t.file, err = t.dir.OpenFile(t.partial, flags, fileMode); err != nil {
		return err
	}
	t.hash, t.flush.file = sha256.New(), t.file
	if t.offset, err = copyHash(ctx, t.hash, t.file); err != nil {
		return errors.Join(err, t.file.Close())
	}
	if t.offset > t.want.Size {
		return errors.Join(t.restart(), ctx.Err())
	}
	t.result.resumed = t.offset
	t.Progress.Resumed(t.offset)
	if t.offset > 0 {
		t.Progress.Note(fmt.Sprintf("RESUME %s at byte %d of %d", t.want.Path, t.offset, t.want.Size))
	}
	return nil
}

// restart throws away what the unfinished file has.
func (t *transfer) restart() error {
	t.offset = 0
	t.hash.Reset()
	if err := t.file.Truncate(0); err != nil {
		return err
	}
	_, err := t.file.Seek(0, io.SeekStart)
	return err
}

// bring reads on until all bytes are here, and checks them. What an earlier run left may be damaged, as by a power cut: if
// the whole is not right, it is brought once more from its first byte.
func (t *transfer) bring(ctx context.Context) error {
	for {
		err := t.Patiently(ctx, t.want.Path, func() int64 { return t.offset }, func() error { return t.stream(ctx) })
		if err != nil {
			return withdrawn(err)
		}
		got := digest.FromHash(t.hash)
		if got == t.want.Digest {
			return nil
		}
		if t.result.resumed == 0 {
			t.drop()
			return fault.Corruptf(t.Release.String(), "the service sent %s for %s", got, t.want.Digest).
				WithAdvice("nothing of it was kept; tell the service's operator")
		}
		t.Progress.Note("RESTART " + t.want.Path + ": what an earlier run has left is damaged")
		t.Progress.Sent(-t.want.Size)
		t.result.resumed = 0
		if err := t.restart(); err != nil {
			return err
		}
	}
}

// withdrawn sees to it that a file which the service no longer gives is not taken for one that was never deposited.
func withdrawn(err error) error {
	if !fault.Is(err, fault.NotFound) {
		return err
	}
	return (&fault.Error{Kind: fault.NotFound, Reason: "WITHDRAWN", Message: "the service no longer gives it", Err: err}).
		WithAdvice("tell the service's operator")
}

// stream asks for the rest and takes in what comes.
func (t *transfer) stream(ctx context.Context) error {
	if t.offset == t.want.Size && t.want.Size > 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := t.Service.ReadBlob(ctx, &pb.ReadBlobRequest{Release: t.Release.String(), Digest: t.want.Digest.String(), ReadOffset: t.offset})
	if err != nil {
		return err
	}
	for chunk := range receiveAhead(ctx, stream) {
		if chunk.err != nil {
			return chunk.err
		}
		if err := t.take(chunk.data); err != nil {
			return err
		}
	}
	if t.offset != t.want.Size {
		return errors.Join(ctx.Err(), fault.Corruptf(t.Release.String(), "the service sent %d bytes of %d", t.offset, t.want.Size))
	}
	return nil
}

// take writes what came. The hash covers nothing that is not in the file.
func (t *transfer) take(data []byte) error {
	if int64(len(data)) > t.want.Size-t.offset {
		return fault.Corruptf(t.Release.String(), "the service sent more than the %d bytes of %s", t.want.Size, t.want.Digest)
	}
	n, err := t.file.Write(data)
	t.hash.Write(data[:n])
	t.offset += int64(n)
	t.result.fetched += int64(n)
	t.Progress.Sent(int64(n))
	t.flush.wrote(int64(n))
	return err
}

// finish makes the file durable and gives it its name.
func (t *transfer) finish() error {
	if err := t.flush.wait(); err != nil {
		return err
	}
	if err := t.file.Sync(); err != nil {
		return err
	}
	return settle(t.dir, t.partial, base(t.want.Path))
}

func (t *transfer) close() error { return errors.Join(t.flush.wait(), t.file.Close()) }

// drop removes the unfinished file: nothing of it is worth keeping.
func (t *transfer) drop() {
	_ = t.dir.Remove(t.partial) // it would be found wrong again
}

// copyHash hashes a file to its end and returns its size.
func copyHash(ctx context.Context, sum hash.Hash, f *os.File) (int64, error) {
	buf := make([]byte, 256<<10)
	for size := int64(0); ; {
		n, err := f.Read(buf)
		sum.Write(buf[:n])
		size += int64(n)
		switch {
		case err == io.EOF:
			return size, nil
		case err != nil:
			return size, err
		case ctx.Err() != nil:
			return size, ctx.Err()
		}
	}
}
