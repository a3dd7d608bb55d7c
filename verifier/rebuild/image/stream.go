package image

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

// zstdWindow is the most memory that a zstd stream may ask for, in bytes; 128 MiB is what the format's own tools take.
const zstdWindow = 128 << 20

// stream reads the tar stream of a layer and hashes both what is held and what comes out.
type stream struct {
	io.Reader // the tar stream
	l         layer
	source    *source
	held      *bufio.Reader
	heldHash  hash.Hash
	diffHash  hash.Hash
	close     []func()
}

func openLayer(ctx context.Context, blobs Blobs, l layer) (*stream, error) {
	rc, err := blobs(ctx, l.blob)
	if err != nil {
		return nil, err
	}
	s := &stream{l: l, heldHash: sha256.New(), diffHash: sha256.New(), source: &source{ctx: ctx, r: rc, left: l.size}}
	s.close = append(s.close, func() { rc.Close() })
	s.held = bufio.NewReaderSize(io.TeeReader(s.source, s.heldHash), 1<<16)
	plain, err := s.decompress()
	if err != nil {
		defer s.Close()
		return nil, s.blame(err)
	}
	s.Reader = io.TeeReader(plain, s.diffHash)
	return s, nil
}

// decompress tells the compression by the first bytes: media types are often wrong about it.
func (s *stream) decompress() (io.Reader, error) {
	magic, err := s.held.Peek(4)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		return gzip.NewReader(s.held)
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(s.held, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow))
		if err != nil {
			return nil, err
		}
		s.close = append(s.close, z.Close)
		return z, nil
	default:
		return s.held, nil
	}
}

// finish reads what follows the tar's end and checks both digests.
func (s *stream) finish(most int64) error {
	n, err := io.CopyN(io.Discard, s.Reader, most+1)
	if err == nil {
		return fault.Exhaustedf(s.l.blob.String(), "more than %d bytes follow the archive's end", n-1)
	}
	if err != io.EOF {
		return s.blame(err)
	}
	if err := s.checkHeld(); err != nil {
		return err
	}
	if got := digest.FromHash(s.diffHash); got != s.l.diffID {
		return fault.Invalidf("image configuration", "says that layer %s holds %s, it holds %s", s.l.blob, s.l.diffID, got)
	}
	return nil
}

// blame says whose failure err, which came of reading, is: the source's, the custodian's where the bytes held are not
// those of the digest, or else the image maker's.
func (s *stream) blame(err error) error {
	if bad := s.checkHeld(); bad != nil {
		return bad
	}
	return fault.Invalidf("image layer "+s.l.blob.String(), "%v", err)
}

// checkHeld reads the blob to its end and checks what was held.
func (s *stream) checkHeld() error {
	if s.source.err == nil {
		_, _ = io.Copy(io.Discard, s.held) // its error is kept by the source
	}
	if s.source.err != nil {
		return s.source.err
	}
	if digest.FromHash(s.heldHash) != s.l.blob || s.source.left != 0 {
		return fault.Corruptf(s.l.blob.String(), "blob %s does not have its digest and size", s.l.blob)
	}
	return nil
}

func (s *stream) Close() {
	for i := len(s.close) - 1; i >= 0; i-- {
		s.close[i]()
	}
}

// source reads a blob, ends with its context, and keeps its own errors apart from those of the decoders above it.
type source struct {
	ctx  context.Context
	r    io.Reader
	left int64
	err  error
}

func (s *source) Read(b []byte) (int, error) {
	if s.err == nil {
		s.err = s.ctx.Err()
	}
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(b)
	s.left -= int64(n)
	if s.left < 0 {
		s.err = fault.Corruptf("", "blob is longer than the image manifest says")
		return 0, s.err
	}
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}
