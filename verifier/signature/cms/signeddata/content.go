package signeddata

import "crypto"

// Content is what a signature is over.
type Content interface {
	// Digest returns its digest.
	Digest(crypto.Hash) ([]byte, error)
	// Head returns its first bytes, so many at most.
	Head(most int) ([]byte, error)
	// All returns the whole of it; an error if that is too much.
	All() ([]byte, error)
}

// Bytes is content at hand.
func Bytes(b []byte) Content { return bytesContent(b) }

type bytesContent []byte

func (c bytesContent) Digest(hash crypto.Hash) ([]byte, error) {
	h := hash.New()
	h.Write(c)
	return h.Sum(nil), nil
}

func (c bytesContent) Head(most int) ([]byte, error) { return c[:min(len(c), most)], nil }
func (c bytesContent) All() ([]byte, error)          { return c, nil }
