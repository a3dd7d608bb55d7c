package cms

import (
	"context"
	"crypto"
	"fmt"
	"io"

	"github.com/countersign-escrow/countersign/verifier/signature/cms/signeddata"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// tooMuch says that a file is too long for a signature that needs the whole of it.
type tooMuch struct{ size int64 }

func (e *tooMuch) Error() string {
	return fmt.Sprintf("the file has %d bytes; a signature by Ed25519 without signed attributes takes %d at most", e.size, MaxWhole)
}

// file is the file that a detached signature is over. What was read once is kept, as several signers hash it alike.
type file struct {
	ctx  context.Context
	of   proof.File
	sums map[crypto.Hash][]byte
}

func newFile(ctx context.Context, of proof.File) signeddata.Content {
	f := &file{ctx: ctx, of: of, sums: map[crypto.Hash][]byte{}}
	if !of.Digest.IsZero() {
		f.sums[crypto.SHA256] = of.Digest.Bytes()
	}
	return f
}

// Digest reads the file at most once for an algorithm, and for SHA-256 not at all: that digest is known.
func (f *file) Digest(hash crypto.Hash) ([]byte, error) {
	if sum, known := f.sums[hash]; known {
		return sum, nil
	}
	h := hash.New()
	err := f.of.Read(f.ctx, func(r io.Reader) error {
		_, err := io.Copy(h, r)
		return err
	})
	if err != nil {
		return nil, err
	}
	f.sums[hash] = h.Sum(nil)
	return f.sums[hash], nil
}

// Head returns the first bytes.
func (f *file) Head(most int) (b []byte, err error) {
	err = f.of.Read(f.ctx, func(r io.Reader) error {
		b, err = io.ReadAll(io.LimitReader(r, int64(most)))
		return err
	})
	return b, err
}

// All returns the whole file.
func (f *file) All() ([]byte, error) {
	if f.of.Size > MaxWhole {
		return nil, &tooMuch{f.of.Size}
	}
	return f.of.All(f.ctx, MaxWhole)
}
