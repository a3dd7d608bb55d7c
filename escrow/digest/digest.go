// Package digest holds SHA-256 digests as values that cannot be malformed.
// It knows nothing of what was digested.
package digest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strings"
)

// Prefix stands before the hexadecimal form, as OCI writes digests.
const Prefix = "sha256:"

// Digest is a SHA-256 digest. Digests are comparable with ==; the zero value stands for "none".
type Digest struct {
	sum [sha256.Size]byte
}

// Parse reads "sha256:" and 64 lower-case hexadecimal digits.
func Parse(s string) (Digest, error) {
	h, ok := strings.CutPrefix(s, Prefix)
	if !ok {
		return Digest{}, fmt.Errorf("digest %q: must start with %q", shorten(s), Prefix)
	}
	return ParseHex(h)
}

// ParseHex reads 64 lower-case hexadecimal digits.
func ParseHex(s string) (Digest, error) {
	var d Digest
	if len(s) != hex.EncodedLen(len(d.sum)) || strings.ToLower(s) != s {
		return Digest{}, fmt.Errorf("digest %q: must have 64 lower-case hexadecimal digits", shorten(s))
	}
	if _, err := hex.Decode(d.sum[:], []byte(s)); err != nil {
		return Digest{}, fmt.Errorf("digest %q: %w", s, err)
	}
	return d, nil
}

// Of returns the digest of b.
func Of(b []byte) Digest { return Digest{sum: sha256.Sum256(b)} }

// FromReader reads r to its end and returns the digest and the number of bytes.
func FromReader(r io.Reader) (Digest, int64, error) {
	h := sha256.New()
	n, err := io.Copy(h, r)
	if err != nil {
		return Digest{}, n, err
	}
	return FromHash(h), n, nil
}

// FromHash returns the present sum of h, which must be a SHA-256 hash.
func FromHash(h hash.Hash) Digest {
	var d Digest
	if copy(d.sum[:], h.Sum(nil)) != len(d.sum) || h.Size() != len(d.sum) {
		panic("digest: not a SHA-256 hash")
	}
	return d
}

// FromBytes takes the 32 bytes of a sum.
func FromBytes(b []byte) (Digest, error) {
	var d Digest
	if len(b) != len(d.sum) {
		return Digest{}, fmt.Errorf("digest of %d bytes: must have %d", len(b), len(d.sum))
	}
	copy(d.sum[:], b)
	return d, nil
}

// IsZero says whether d stands for "none".
func (d Digest) IsZero() bool { return d == Digest{} }

// String returns "sha256:" and the hexadecimal form, or "" for none.
func (d Digest) String() string {
	if d.IsZero() {
		return ""
	}
	return Prefix + d.Hex()
}

// Hex returns the 64 hexadecimal digits.
func (d Digest) Hex() string { return hex.EncodeToString(d.sum[:]) }

// Bytes returns the 32 bytes of the sum.
func (d Digest) Bytes() []byte { return append([]byte(nil), d.sum[:]...) }

// MarshalText writes the form of String.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads the form of String; an empty text is none.
func (d *Digest) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*d = Digest{}
		return nil
	}
	var err error
	*d, err = Parse(string(b))
	return err
}

func shorten(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
