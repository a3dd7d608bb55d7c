package s3

import (
	"context"
	"fmt"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

// Commit makes the object, unless there is one. What the server has put together must have the checksum that was computed here.
func (d *draft) Commit(ctx context.Context) error { return d.commit(ctx, false) }

// Replace makes a new version of the object. The former one stays below it, out of sight, until its lock ends and it is deleted.
func (d *draft) Replace(ctx context.Context) error {
	if d.closed || d.ended {
		return errClosed
	}
	lock, err := d.store.Kept(ctx, d.name)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	if err := d.commit(ctx, true); err != nil || lock == (object.Lock{}) {
		return err
	}
	return d.store.Keep(ctx, d.name, lock)
}

func (d *draft) commit(ctx context.Context, over bool) error {
	if d.closed || d.ended {
		return errClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	var opts minio.PutObjectOptions
	if !over {
		opts.SetMatchETagExcept("*")
	}
	made, err := d.make(ctx, opts)
	if err != nil {
		err = d.look(ctx, made, err)
	}
	switch {
	case err == nil, fault.Is(err, fault.Exists), fault.Is(err, fault.Aborted):
		return d.end(ctx, err)
	}
	return err
}

// end throws away what is left of a draft that led to an object, or cannot lead to one any more. What cannot be thrown away now is
// swept later: the outcome does not depend on it.
func (d *draft) end(ctx context.Context, outcome error) error {
	d.ended = true
	upload := d.parts.upload
	if outcome == nil {
		upload = "" // it is the object now
	}
	_ = d.store.dropDraft(context.WithoutCancel(ctx), d.name, d.saved, upload)
	return outcome
}

// made is what an object must be to be the one that a draft makes.
type made struct {
	size     int64
	checksum string // as the server reports it, without the number of parts
}

// make sends what is left and has the server make the object.
func (d *draft) make(ctx context.Context, opts minio.PutObjectOptions) (made, error) {
	if d.parts.upload == "" {
		return d.putWhole(ctx, opts)
	}
	if len(d.buffer) > 0 {
		if err := d.flush(ctx); err != nil {
			return made{}, err
		}
	}
	if err := d.parts.wait(); err != nil {
		return made{}, err
	}
	return d.complete(ctx, opts)
}

func (d *draft) putWhole(ctx context.Context, opts minio.PutObjectOptions) (made, error) {
	m := made{size: int64(len(d.buffer)), checksum: checksum(d.buffer)}
	opts.UserMetadata = map[string]string{draftMark: d.saved.Draft}
	info, err := d.store.put(ctx, d.store.objectKey(d.name), d.buffer, opts)
	if err != nil {
		return m, err
	}
	return m, d.agrees(ctx, m, info)
}

func (d *draft) complete(ctx context.Context, opts minio.PutObjectOptions) (made, error) {
	list, composite := d.parts.list()
	m := made{checksum: composite}
	for _, p := range d.parts.done {
		m.size += p.Size
	}
	opts.UserMetadata = map[string]string{checksumHeader: fmt.Sprintf("%s-%d", composite, len(list)), "x-amz-checksum-type": "COMPOSITE"}
	ctx, cancel := boundedFor(ctx, m.size/16) // the server may have to copy it
	defer cancel()
	info, err := d.store.core.CompleteMultipartUpload(ctx, d.store.bucket, d.store.objectKey(d.name), d.parts.upload, list, opts)
	if err != nil {
		return m, err
	}
	return m, d.agrees(ctx, m, info)
}

// agrees compares the checksum that the server computed.
func (d *draft) agrees(ctx context.Context, m made, info minio.UploadInfo) error {
	reported := info.ChecksumSHA256
	if reported == "" { // not every server says so at once
		stat, err := d.store.stat(ctx, d.name)
		if err != nil {
			return err
		}
		reported = stat.ChecksumSHA256
	}
	if bare(reported) != m.checksum {
		return fault.Corruptf(d.name.String(), "the server stored %s with the SHA-256 %q, sent was %q", d.store.objectKey(d.name), reported, m.checksum)
	}
	return nil
}

// bare cuts off the number of parts.
func bare(checksum string) string {
	head, _, _ := strings.Cut(checksum, "-")
	return head
}

// look finds out what became of a commit that ended in an error: whether the object is there all the same, because only an answer was
// lost, or another one, or what the draft had is gone.
func (d *draft) look(ctx context.Context, m made, err error) error {
	key := d.store.objectKey(d.name)
	if isFault(err) || !isAnswer(err) {
		return d.store.fail("commit", key, err)
	}
	info, statErr := d.store.stat(ctx, d.name)
	switch {
	case statErr == nil && info.Size == m.size && bare(info.ChecksumSHA256) == m.checksum && info.UserMetadata[draftMark] == d.saved.Draft:
		return nil
	case statErr == nil && (isPrecondition(err) || hasCode(err, "NoSuchUpload")):
		return fault.AlreadyExists(d.name.String())
	case hasCode(err, "NoSuchUpload", "InvalidPart", "InvalidPartOrder"):
		return spoilt(d.name)
	}
	return d.store.fail("commit", key, err)
}
