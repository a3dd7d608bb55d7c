package sigstorebundle

import (
	"bytes"
	"context"
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"

	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// message is what a signature is over. It is read once for each hash that is asked for, and not at all for its SHA-256.
type message struct {
	proof.File
	sums  map[crypto.Hash][]byte
	bytes []byte
}

var errTooLong = errors.New("the file is too long for its algorithm")

// sum returns the message's hash. Its errors are those of reading.
func (m *message) sum(ctx context.Context, h crypto.Hash) ([]byte, error) {
	if h == crypto.SHA256 {
		return m.Digest.Bytes(), nil
	}
	if s, ok := m.sums[h]; ok {
		return s, nil
	}
	sum := h.New()
	if err := m.Read(ctx, func(r io.Reader) error { _, err := io.Copy(sum, r); return err }); err != nil {
		return nil, err
	}
	if m.sums == nil {
		m.sums = make(map[crypto.Hash][]byte)
	}
	m.sums[h] = sum.Sum(nil)
	return m.sums[h], nil
}

// all returns the whole message, or errTooLong.
func (m *message) all(ctx context.Context) (_ []byte, err error) {
	if m.Size > MaxFile {
		return nil, errTooLong
	}
	if m.bytes == nil {
		m.bytes, err = m.All(ctx, MaxFile)
	}
	return m.bytes, err
}

var hashes = map[protocommon.HashAlgorithm]crypto.Hash{
	protocommon.HashAlgorithm_SHA2_256: crypto.SHA256,
	protocommon.HashAlgorithm_SHA2_384: crypto.SHA384,
	protocommon.HashAlgorithm_SHA2_512: crypto.SHA512,
}

// checkDigest tells a signature over another file from a bad one. The digest in a bundle is not signed, so that this proves nothing.
// Bundles by pure Ed25519 keys may have none.
func (s *signed) checkDigest(ctx context.Context) (problem string, err error) {
	claimed := s.GetMessageSignature().GetMessageDigest()
	if len(claimed.GetDigest()) == 0 {
		return "", nil
	}
	h, ok := hashes[claimed.GetAlgorithm()]
	if !ok {
		return fmt.Sprintf("the bundle's digest is by %.40q; known are SHA2_256, SHA2_384 and SHA2_512", claimed.GetAlgorithm().String()), nil
	}
	sum, err := s.message.sum(ctx, h)
	if err != nil || bytes.Equal(sum, claimed.GetDigest()) {
		return "", err
	}
	return fmt.Sprintf("the signature is over other bytes: by its bundle over the %v %s, and %.60q has %s",
		h, clipHex(claimed.GetDigest()), s.message.Name, clipHex(sum)), nil
}

func clipHex(b []byte) string { return hex.EncodeToString(b[:min(len(b), 64)]) }
