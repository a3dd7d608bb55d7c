package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"

	"github.com/minio/minio-go/v7"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

// A sidecar is the object that keeps a checkpoint: the magic, the length of a record in four bytes, the record in JSON, the tail of
// the bytes that are too few for a part, and the SHA-256 of all this.
const (
	sidecarMagic   = "CSDRAFT1"
	maxRecordBytes = 4 << 20
)

// record is a checkpoint without its tail.
type record struct {
	Draft  string // marks the object that becomes of the draft
	Writer string // who wrote this checkpoint; with Serial, which one it is
	Serial int
	Upload string // the server's id of the multipart upload; empty if none was begun or none was saved
	Offset int64
	Note   []byte
	Parts  []part
}

// part is one part of the upload, numbered from 1.
type part struct {
	Size   int64
	ETag   string
	SHA256 []byte
}

func (r record) encode(tail []byte) ([]byte, error) {
	head, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode a checkpoint: %w", err)
	}
	b := make([]byte, 0, len(sidecarMagic)+4+len(head)+len(tail)+sha256.Size)
	b = append(b, sidecarMagic...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(head)))
	b = append(append(b, head...), tail...)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...), nil
}

// decodeSidecar reads a sidecar, whole and right or not at all.
func decodeSidecar(b []byte) (r record, tail []byte, err error) {
	const fixed = len(sidecarMagic) + 4
	if len(b) < fixed+sha256.Size || string(b[:len(sidecarMagic)]) != sidecarMagic {
		return r, nil, fmt.Errorf("not a checkpoint")
	}
	body, sum := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if got := sha256.Sum256(body); !bytes.Equal(got[:], sum) {
		return r, nil, fmt.Errorf("damaged")
	}
	n := int64(binary.BigEndian.Uint32(body[len(sidecarMagic):]))
	if n > maxRecordBytes || n > int64(len(body)-fixed) {
		return r, nil, fmt.Errorf("a record of %d bytes in %d", n, len(body))
	}
	if err := json.Unmarshal(body[fixed:fixed+int(n)], &r); err != nil {
		return r, nil, err
	}
	tail = body[fixed+int(n):]
	return r, tail, r.check(int64(len(tail)))
}

// check says whether parts and tail are what Offset says.
func (r record) check(tail int64) error {
	sum := tail
	for _, p := range r.Parts {
		if p.Size <= 0 || p.Size > maxPartBytes || len(p.SHA256) != sha256.Size || p.ETag == "" {
			return fmt.Errorf("a part that cannot be")
		}
		sum += p.Size
	}
	switch {
	case len(r.Parts) > maxParts || len(r.Note) > object.MaxNoteBytes:
		return fmt.Errorf("%d parts, a note of %d bytes", len(r.Parts), len(r.Note))
	case len(r.Parts) > 0 && r.Upload == "":
		return fmt.Errorf("parts of no upload")
	case sum != r.Offset:
		return fmt.Errorf("%d bytes, and an offset of %d", sum, r.Offset)
	}
	return nil
}

// sidecar is a checkpoint as it lies in the bucket. The zero sidecar is none.
type sidecar struct {
	record
	tail    []byte
	etag    string
	version string
}

// readSidecar returns the sidecar under a key, the zero one if there is none. One that cannot be read is as good as none but for
// its etag: the next checkpoint replaces it.
func (s *Store) readSidecar(ctx context.Context, key string) (sidecar, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	body, info, _, err := s.core.GetObject(ctx, s.bucket, key, minio.GetObjectOptions{})
	if hasCode(err, "NoSuchKey") {
		return sidecar{}, nil
	}
	if err != nil {
		return sidecar{}, s.fail("read the draft", key, err)
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, maxSidecarBytes))
	if err != nil {
		return sidecar{}, s.fail("read the draft", key, err)
	}
	found := sidecar{etag: info.ETag, version: info.VersionID}
	if r, tail, err := decodeSidecar(b); err == nil {
		found.record, found.tail = r, tail
	}
	return found, nil
}

// checkpoint returns the sidecar of a name as it can be gone on with: one whose upload is gone, or has other parts, is worth nothing.
func (s *Store) checkpoint(ctx context.Context, name object.Name) (sidecar, error) {
	found, err := s.readSidecar(ctx, s.draftKey(name))
	if err != nil || found.Upload == "" {
		return found, err
	}
	same, err := s.hasParts(ctx, name, found.record)
	if err != nil || same {
		return found, err
	}
	return sidecar{etag: found.etag, version: found.version}, nil
}

// hasParts says whether the server still has the parts of a checkpoint.
func (s *Store) hasParts(ctx context.Context, name object.Name, r record) (bool, error) {
	const page = 1000
	for seen := 0; ; {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		list, err := s.core.ListObjectParts(ctx, s.bucket, s.objectKey(name), r.Upload, seen, page)
		if hasCode(err, "NoSuchUpload") {
			return false, nil
		}
		if err != nil {
			return false, s.fail("list the parts of", s.objectKey(name), err)
		}
		for _, p := range list.ObjectParts {
			if seen == len(r.Parts) {
				break // uploaded after the checkpoint
			}
			if p.PartNumber != seen+1 || unquoted(p.ETag) != r.Parts[seen].ETag {
				return false, nil
			}
			seen++
		}
		if seen == len(r.Parts) || !list.IsTruncated {
			return seen == len(r.Parts), nil
		}
	}
}

// writeSidecar replaces the sidecar, if it is still the one that was read or written last; fault.Aborted if another process was here.
// The former version is removed, so that versions do not pile up.
func (s *Store) writeSidecar(ctx context.Context, name object.Name, former, next sidecar) (sidecar, error) {
	b, err := next.encode(next.tail)
	if err != nil {
		return former, err
	}
	var opts minio.PutObjectOptions
	if former.etag == "" {
		opts.SetMatchETagExcept("*")
	} else {
		opts.SetMatchETag(former.etag)
	}
	key := s.draftKey(name)
	info, err := s.put(ctx, key, b, opts)
	next.etag, next.version = info.ETag, info.VersionID
	if isPrecondition(err) || hasCode(err, "NoSuchKey") {
		next, err = s.isThere(ctx, name, next) // an answer may have been lost, and the request sent again
	}
	if err != nil {
		return former, s.fail("save the draft", key, err)
	}
	if former.version != "" {
		err = s.removeVersion(ctx, key, former.version)
	}
	return next, s.fail("remove the former checkpoint", key, err)
}

// isThere finds the version of a sidecar that was written, though the server says otherwise.
func (s *Store) isThere(ctx context.Context, name object.Name, want sidecar) (sidecar, error) {
	found, err := s.readSidecar(ctx, s.draftKey(name))
	if err == nil && (found.Writer != want.Writer || found.Serial != want.Serial) {
		err = spoilt(name)
	}
	return found, err
}

// dropDraft aborts the upload and removes the sidecar, unless another process has taken them over.
func (s *Store) dropDraft(ctx context.Context, name object.Name, mine sidecar, upload string) error {
	if mine.etag == "" {
		return s.abort(ctx, name, upload) // nothing was saved
	}
	found, err := s.readSidecar(ctx, s.draftKey(name))
	if err != nil {
		return err
	}
	others := found.etag != mine.etag
	if !others || found.Upload != upload {
		err = s.abort(ctx, name, upload)
	}
	if err != nil || others {
		return err
	}
	return s.fail("remove the draft", s.draftKey(name), s.removeVersions(ctx, s.draftKey(name)))
}

func (s *Store) abort(ctx context.Context, name object.Name, upload string) error {
	if upload == "" {
		return nil
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	err := s.core.AbortMultipartUpload(ctx, s.bucket, s.objectKey(name), upload)
	if hasCode(err, "NoSuchUpload") {
		return nil
	}
	return s.fail("abort the upload of", s.objectKey(name), err)
}

func checkNote(note []byte) error {
	if len(note) > object.MaxNoteBytes {
		return fault.Invalidf("note", "%d bytes, at most %d are kept", len(note), object.MaxNoteBytes)
	}
	return nil
}
