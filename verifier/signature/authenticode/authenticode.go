// Package authenticode proves the signatures inside PE files (Microsoft's Authenticode): programs and libraries for Windows. It knows nothing
// of when a trust anchor counts, nor of what a PE file does.
package authenticode

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/cms/chain"
	"github.com/countersign-escrow/countersign/verifier/signature/cms/signeddata"
	"github.com/countersign-escrow/countersign/verifier/signature/cms/signer"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// Kind is the kind of its proofs.
const Kind = "authenticode"

// Caps on hostile input.
const (
	maxTable      = 1 << 20 // bytes of a certificate table
	maxSignatures = 16      // nested ones included
	maxHeader     = 64 << 10
)

// Verifier proves signatures by the X509 anchors. It may be used concurrently.
type Verifier struct{ signers *signer.Set }

// New takes the X509 anchors and ignores others. Those that cannot be read are left out and named by the error.
func New(anchors []anchor.Anchor) (*Verifier, error) {
	signers, err := signer.NewSet(anchors)
	return &Verifier{signers}, err
}

// Present says whether a file is a PE file with a certificate table. It reads headers only.
func Present(ctx context.Context, of proof.File) (bool, error) {
	c, err := of.Open(ctx)
	if err != nil {
		return false, err
	}
	defer c.Close()
	l, err := readLayout(c, of.Size)
	if l == nil || broken(err) != nil {
		return false, broken(err)
	}
	return l.table.size > 0, nil // also where it is malformed: that is for Prove to say
}

// Prove gives a proof for each signature in the file, nested ones included. There is one proof at least; an error is a failure to read.
func (v *Verifier) Prove(ctx context.Context, of proof.File) ([]proof.Proof, error) {
	l, messages, err := read(ctx, of)
	if err != nil {
		return bad(err)
	}
	signatures := gather(messages)
	sums, err := l.digests(ctx, of, signatures)
	if err != nil {
		return bad(err)
	}
	list := make([]proof.Proof, 0, len(signatures))
	search := chain.NewSearch(nil) // one for all, as it caps their effort
	for _, s := range signatures {
		list = append(list, v.prove(s, search, sums, l.scope()))
	}
	return list, nil
}

// bad makes a proof of what is wrong with the file, and lets failures to read it through.
func bad(err error) ([]proof.Proof, error) {
	if failure := broken(err); failure != nil {
		return nil, failure
	}
	return []proof.Proof{proof.Bad(Kind, "the PE file: %.300v", err)}, nil
}

func read(ctx context.Context, of proof.File) (*layout, [][]byte, error) {
	c, err := of.Open(ctx)
	if err != nil {
		return nil, nil, &readError{err}
	}
	defer c.Close()
	l, err := readLayout(c, of.Size)
	if err != nil {
		return nil, nil, err
	}
	table, err := l.readTable(c)
	if err != nil {
		return nil, nil, err
	}
	messages, err := splitTable(table)
	return l, messages, err
}

// prove judges one signature by the digests of the image.
func (v *Verifier) prove(s *signature, search *chain.Search, sums map[crypto.Hash][]byte, scope string) proof.Proof {
	out := proof.Proof{Kind: Kind, Scope: scope}
	if s.problem != "" {
		out.Problem = fmt.Sprintf("signature %d: %s", s.number, s.problem)
		return out
	}
	by, err := v.check(s, sums)
	if err != nil {
		out.Problem = fmt.Sprintf("signature %d %.400v", s.number, err)
		return out
	}
	along := s.message.Certificates
	v.signers.Judge(&out, search.With(along), chain.Code, s.signer, by, along)
	if len(out.Anchors) > 0 {
		out.Weak = merge(out.Weak, signeddata.WeakHash(s.hash))
	}
	return withinLifetime(out, by)
}

// oidLifetimeSigning is the use by which an authority says that time stamps shall not prolong a certificate's signatures
// (szOID_KP_LIFETIME_SIGNING, Windows Authenticode Portable Executable Signature Format).
var oidLifetimeSigning = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 10, 3, 13}

// withinLifetime takes from a proof what its signing certificate says shall not count.
func withinLifetime(p proof.Proof, by *x509.Certificate) proof.Proof {
	if len(p.Times) > 0 && slices.ContainsFunc(by.UnknownExtKeyUsage, oidLifetimeSigning.Equal) {
		p.Times, p.Notes = nil, append(p.Notes, "its time stamps are set aside: the certificate is for signatures that end with it (lifetime signing)")
	}
	return p
}

// check checks a signature by itself: made over this image by the key of the certificate that it names.
func (v *Verifier) check(s *signature, sums map[crypto.Hash][]byte) (*x509.Certificate, error) {
	by := v.signers.Certificate(s.signer, s.message.Certificates)
	if by == nil {
		return nil, fmt.Errorf("names a certificate (%s) that is neither in it nor in a trust anchor", s.signer.Names())
	}
	if string(s.digest) != string(sums[s.hash]) {
		return nil, fmt.Errorf("is over another image: the file was changed after it was signed")
	}
	if err := s.signer.Check(by, oidIndirectData, signeddata.Bytes(s.message.Content)); err != nil {
		return nil, fmt.Errorf("by %q %w", chain.Name(by), err)
	}
	return by, nil
}
