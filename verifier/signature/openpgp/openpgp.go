// Package openpgp verifies OpenPGP signatures (RFC 9580 and, of it, version 4 as of RFC 4880): detached ones and clear-signed texts, by key
// rings that are trust anchors. It knows nothing of when a signature is good enough, nor of the present time: it returns a key's life and
// revocations as its certificate has them, as of the newest of its self-signatures.
//
// What counts of a certificate is decided here; the library does the packets and the arithmetic. Certificates of one key in several anchors
// are taken together, as a key ring would: a revocation in one of them holds for all. A user id says no more than a name: its revocation is
// none of the key's. A revocation without reason, or with one other than "superseded" and "no longer used", means that somebody else may
// have the key.
package openpgp

import (
	"context"
	"fmt"
	"strings"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// Kind is the name of this kind of signature.
const Kind = "openpgp"

// The media types of signature files.
const (
	MediaTypeSignature   = "application/pgp-signature" // RFC 3156, section 5; armoured or binary
	MediaTypeClearsigned = "application/vnd.countersign.pgp-clearsigned"
)

// Verifier judges OpenPGP signatures by key rings.
type Verifier struct {
	ring ring
}

// New makes a Verifier of the OPENPGP anchors among those given. An anchor whose key ring cannot be read is left out and named in the error;
// the Verifier is good all the same.
func New(anchors []anchor.Anchor) (*Verifier, error) {
	r, err := readRing(anchors)
	return &Verifier{ring: r}, err
}

// Prove judges every signature of a signature file: those over a file, or, where it is a clear-signed text, those over that text.
func (v *Verifier) Prove(ctx context.Context, content []byte, of proof.File) ([]proof.Proof, error) {
	switch {
	case len(content) > MaxBytes:
		return bad("the signature file has %d bytes, %d at most", len(content), MaxBytes), nil
	case DetectClearsigned(content):
		return v.clearsigned(content), nil
	default:
		return v.detached(ctx, content, of)
	}
}

// Describe says what the key ring of an anchor holds: how many certificates, and the first ones' fingerprints and user ids.
func Describe(a anchor.Anchor) (string, error) {
	v, err := New([]anchor.Anchor{{Name: a.Name, Kind: anchor.OpenPGP, Material: a.Material}})
	if err != nil {
		return "", err
	}
	n := len(v.ring.order)
	text := fmt.Sprintf("%d OpenPGP certificates: ", n)
	if n == 1 {
		text = "OpenPGP certificate "
	}
	const most, shown = 196, 2
	var names []string
	for _, c := range v.ring.order[:min(n, shown)] {
		names = append(names, fmt.Sprintf("%X %s", c.primary.public.Fingerprint, proof.Text(c.name, 60)))
	}
	if n > shown {
		names = append(names, "…")
	}
	return proof.Text(text+strings.Join(names, "; "), most), nil
}

func bad(format string, args ...any) []proof.Proof {
	return []proof.Proof{proof.Bad(Kind, format, args...)}
}
