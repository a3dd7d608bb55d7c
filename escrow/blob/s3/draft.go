package s3

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/minio/minio-go/v7"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

// draftMark is the metadata field that says which draft an object was made of: so that a commit whose answer was lost knows its own.
const draftMark = "Draft"

var errClosed = errors.New("the draft is closed")

// draft is an upload in the making. Bytes wait in the buffer until they are a part's worth; an object that is smaller is sent at once.
type draft struct {
	store *Store
	name  object.Name
	begun object.Checkpoint

	saved  sidecar // as it lies in the bucket
	writer string
	parts  *parts
	buffer []byte
	stop   context.CancelFunc // ends the uploads of parts
	ended  bool               // committed or dropped
	closed bool
}

// Unfinished reads the sidecar.
func (s *Store) Unfinished(ctx context.Context, name object.Name) (object.Checkpoint, error) {
	found, err := s.checkpoint(ctx, name)
	return object.Checkpoint{Offset: found.Offset, Note: found.Note}, err
}

// Draft goes on from the sidecar, if there is one. The context bounds the beginning only.
func (s *Store) Draft(ctx context.Context, name object.Name, size int64) (object.Draft, error) {
	if size > maxObjectBytes {
		return nil, fault.Exhaustedf("size", "%d bytes are more than the %d that one object can have", size, int64(maxObjectBytes))
	}
	if !s.enter(name) {
		return nil, object.Busy(name)
	}
	found, err := s.checkpoint(ctx, name)
	if err != nil {
		s.leave(name)
		return nil, err
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	d := &draft{store: s, name: name, saved: found, writer: rand.Text(), stop: stop, parts: newParts(life, s, name, found.record),
		begun: object.Checkpoint{Offset: found.Offset, Note: found.Note}}
	d.buffer, d.saved.tail = append(d.buffer, found.tail...), nil
	if d.saved.Draft == "" {
		d.saved.Draft = rand.Text()
	}
	return d, nil
}

func (s *Store) enter(name object.Name) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.drafts[name] {
		return false
	}
	s.drafts[name] = true
	return true
}

func (s *Store) leave(name object.Name) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.drafts, name)
}

// Checkpoint returns where the draft began.
func (d *draft) Checkpoint() object.Checkpoint { return d.begun }

// Write fills parts and sends those that are full.
func (d *draft) Write(p []byte) (n int, err error) {
	if d.closed || d.ended {
		return 0, errClosed
	}
	for len(p) > 0 {
		full := partBytes(d.parts.next())
		k := min(len(p), full-len(d.buffer))
		d.buffer = append(roomFor(d.buffer, k, full), p[:k]...)
		n, p = n+k, p[k:]
		if len(d.buffer) == full {
			if err := d.flush(d.parts.ctx); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// roomFor makes room for n bytes more: twice as much each time, but never more than a part takes.
func roomFor(b []byte, n, full int) []byte {
	if len(b)+n <= cap(b) {
		return b
	}
	return append(make([]byte, 0, min(full, max(2*cap(b), len(b)+n, 64<<10))), b...)
}

// flush sends the buffer as a part.
func (d *draft) flush(ctx context.Context) error {
	if d.parts.next() > maxParts {
		return fault.Exhaustedf("size", "%s has %d parts, S3 takes no more", d.name, maxParts)
	}
	if err := d.begin(ctx); err != nil {
		return err
	}
	if err := d.parts.send(d.buffer); err != nil {
		return err
	}
	d.buffer = d.parts.buffer()
	return nil
}

// begin begins the multipart upload. The sidecar comes first: so that whoever sweeps finds the upload, too, of a process that dies here.
func (d *draft) begin(ctx context.Context) error {
	if d.parts.upload != "" {
		return nil
	}
	if d.saved.etag == "" {
		if err := d.write(ctx, sidecar{}); err != nil {
			return err
		}
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	key := d.store.objectKey(d.name)
	upload, err := d.store.core.NewMultipartUpload(ctx, d.store.bucket, key, minio.PutObjectOptions{
		UserMetadata: map[string]string{"x-amz-checksum-algorithm": "SHA256", draftMark: d.saved.Draft}})
	if err != nil {
		return d.store.fail("begin the upload of", key, err)
	}
	d.parts.upload = upload
	return nil
}

// write writes a checkpoint.
func (d *draft) write(ctx context.Context, next sidecar) error {
	next.Draft, next.Writer, next.Serial = d.saved.Draft, d.writer, d.saved.Serial+1
	saved, err := d.store.writeSidecar(ctx, d.name, d.saved, next)
	d.saved, d.saved.tail = saved, nil
	return err
}

// Save waits for the parts and writes the sidecar. What is too little for a part goes with it.
func (d *draft) Save(ctx context.Context, note []byte) error {
	if d.closed || d.ended {
		return errClosed
	}
	if err := errors.Join(ctx.Err(), checkNote(note)); err != nil {
		return err
	}
	if len(d.buffer) >= partBytes(d.parts.next())/shortest {
		if err := d.flush(ctx); err != nil {
			return err
		}
	}
	if err := d.parts.wait(); err != nil {
		return err
	}
	next := sidecar{tail: d.buffer, record: record{Upload: d.parts.upload, Parts: d.parts.done, Note: note, Offset: int64(len(d.buffer))}}
	for _, p := range d.parts.done {
		next.Offset += p.Size
	}
	return d.write(ctx, next)
}

// Drop aborts the upload and removes the sidecar.
func (d *draft) Drop(ctx context.Context) error {
	if d.ended || d.closed {
		return nil
	}
	d.stop()
	_ = d.parts.wait() // their fate does not matter any more
	if err := d.store.dropDraft(ctx, d.name, d.saved, d.parts.upload); err != nil {
		return fmt.Errorf("drop the draft of %s: %w", d.name, err)
	}
	d.ended = true
	return nil
}

// Close gives up the writer; parts on their way are called back.
func (d *draft) Close() error {
	if d.closed {
		return nil
	}
	d.closed = true
	d.stop()
	_ = d.parts.wait()
	d.buffer = nil
	d.store.leave(d.name)
	return nil
}
