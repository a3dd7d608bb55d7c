package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

const (
	// keptStreams is how many answers of one object stay open, so that so many readers can go on where they were.
	keptStreams = 4
	// fruitless is how often a read is tried without a byte coming, with pauses that double from the first one.
	fruitless  = 4
	firstPause = 100 * time.Millisecond
)

// reader is an object open for reading: one version, whatever becomes of its name.
type reader struct {
	store *Store
	name  object.Name
	info  minio.ObjectInfo
	ctx   context.Context // until Close
	stop  context.CancelFunc

	mu      sync.Mutex
	streams []*stream // open, and used by nobody now
	ends    []int64   // where the last reads ended: a read that begins there is likely to be followed by more
}

// stream is an answer of the server, from its offset on.
type stream struct {
	body   io.ReadCloser
	stop   context.CancelFunc
	offset int64
	left   int64
}

// Open looks the object up; its bytes are asked for when they are read.
func (s *Store) Open(ctx context.Context, name object.Name) (object.Object, error) {
	info, err := s.stat(ctx, name)
	if err != nil {
		return nil, err
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	return &reader{store: s, name: name, info: info, ctx: life, stop: stop}, nil
}

// Size returns the size in bytes.
func (r *reader) Size() int64 { return r.info.Size }

// Close gives up what is open.
func (r *reader) Close() error {
	r.stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.streams {
		s.close()
	}
	r.streams = nil
	return nil
}

// ReadAt reads from an answer that is open and has come to the offset, or from a new one.
func (r *reader) ReadAt(p []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, fault.Invalidf("offset", "%d is before the start", offset)
	}
	want := int(min(int64(len(p)), max(r.info.Size-offset, 0)))
	n, err := r.read(p[:want], offset)
	if err == nil && want < len(p) {
		err = io.EOF
	}
	return n, err
}

// read fills p, and goes on with another answer where one breaks off.
func (r *reader) read(p []byte, offset int64) (n int, err error) {
	for tried := 0; n < len(p); {
		k, err := r.readOnce(p[n:], offset+int64(n))
		if n += k; err == nil {
			continue
		}
		if k > 0 {
			tried = 0
		}
		if tried++; tried == fruitless || r.ctx.Err() != nil || hasCode(err, "NoSuchKey", "NoSuchVersion", "AccessDenied") {
			return n, r.broken(offset+int64(n), err)
		}
		r.pause(firstPause << tried)
	}
	return n, nil
}

func (r *reader) pause(d time.Duration) {
	select {
	case <-r.ctx.Done():
	case <-time.After(d):
	}
}

// errCut says that the server began to answer and broke off.
var errCut = errors.New("the answer broke off")

// broken is the error of a read that was tried often enough. A server that is well otherwise and breaks off at the same byte each time
// has lost what was stored.
func (r *reader) broken(offset int64, err error) error {
	key := r.info.Key
	switch {
	case r.ctx.Err() != nil:
		return fmt.Errorf("read %s: it is closed", r.store.place(key))
	case hasCode(err, "NoSuchKey", "NoSuchVersion"):
		return fault.NoSuch(r.name.String())
	case errors.Is(err, errCut) && r.store.answers(r.ctx):
		return fault.Corruptf(r.name.String(), "the server cannot read version %s of %s from byte %d on: %v", r.info.VersionID, r.store.place(key), offset, err)
	}
	return r.store.fail(fmt.Sprintf("read from byte %d of", offset), key, err)
}

func (s *Store) answers(ctx context.Context) bool {
	ctx, cancel := bounded(ctx)
	defer cancel()
	there, err := s.core.BucketExists(ctx, s.bucket)
	return err == nil && there
}

// readOnce reads from one answer, which is kept if more can come of it.
func (r *reader) readOnce(p []byte, offset int64) (int, error) {
	s, err := r.streamAt(offset, int64(len(p)))
	if err != nil {
		return 0, err
	}
	patience := time.AfterFunc(answerBound, s.stop)
	n, err := io.ReadFull(s.body, p[:min(int64(len(p)), s.left)])
	s.offset, s.left = s.offset+int64(n), s.left-int64(n)
	if !patience.Stop() || err != nil {
		s.close()
		return n, fmt.Errorf("%w: %v", errCut, err)
	}
	r.keep(s)
	return n, nil
}

// streamAt takes an open answer, or asks for n bytes, or for all that follow where somebody reads on.
func (r *reader) streamAt(offset, n int64) (*stream, error) {
	r.mu.Lock()
	if i := slices.IndexFunc(r.streams, func(s *stream) bool { return s.offset == offset }); i >= 0 {
		s := r.streams[i]
		r.streams = slices.Delete(r.streams, i, i+1)
		r.mu.Unlock()
		return s, nil
	}
	if slices.Contains(r.ends, offset) {
		n = r.info.Size - offset
	}
	r.mu.Unlock()
	return r.ask(offset, n)
}

func (r *reader) ask(offset, n int64) (*stream, error) {
	ctx, stop := context.WithCancel(r.ctx)
	opts := minio.GetObjectOptions{VersionID: r.info.VersionID}
	if err := opts.SetRange(offset, offset+n-1); err != nil {
		stop()
		return nil, err
	}
	body, info, _, err := r.store.core.GetObject(ctx, r.store.bucket, r.info.Key, opts)
	if err != nil {
		stop()
		return nil, err
	}
	s := &stream{body: body, stop: stop, offset: offset, left: n}
	if info.Size != n || info.ETag != r.info.ETag {
		s.close()
		return nil, fault.Corruptf(r.name.String(), "asked for %d bytes of %s, the server answers with %d of %s", n, r.info.ETag, info.Size, info.ETag)
	}
	return s, nil
}

// keep puts an answer back, or ends it if all of it was read or too many are kept; and notes where a read ended.
func (r *reader) keep(s *stream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ends = append(r.ends, s.offset); len(r.ends) > 2*keptStreams {
		r.ends = r.ends[1:]
	}
	if s.left == 0 || r.ctx.Err() != nil {
		s.close()
		return
	}
	if r.streams = append(r.streams, s); len(r.streams) > keptStreams {
		r.streams[0].close()
		r.streams = r.streams[1:]
	}
}

// close reads the end of an answer that was read whole, so that the connection can be used again, and cuts off any other.
func (s *stream) close() {
	if s.left == 0 {
		_, _ = io.Copy(io.Discard, io.LimitReader(s.body, 1))
	}
	s.body.Close()
	s.stop()
}
