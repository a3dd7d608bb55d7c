// Package cms proves signatures in CMS (RFC 5652, formerly PKCS #7), detached from a file or around content. It knows nothing of when a trust
// anchor counts, nor of what else is signed in CMS.
package cms

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/cms/chain"
	"github.com/countersign-escrow/countersign/verifier/signature/cms/gitsign"
	"github.com/countersign-escrow/countersign/verifier/signature/cms/signeddata"
	"github.com/countersign-escrow/countersign/verifier/signature/cms/signer"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// Kind is the kind of its proofs.
const Kind = "cms"

// MediaType is that of its signature files.
const MediaType = "application/pkcs7-signature"

// MaxBytes is the longest signature file.
const MaxBytes = signeddata.MaxBytes

// MaxWhole is the longest file for a signature that needs the whole of it in memory: Ed25519 without signed attributes.
const MaxWhole = 64 << 20

// Verifier proves signatures by the X509 anchors, and by the Sigstore ones those that gitsign makes.
type Verifier struct {
	signers *signer.Set
	gitsign *gitsign.Verifier
}

// New takes anchors and ignores those of other kinds. Anchors that cannot be read are left out and named by the error.
func New(anchors []anchor.Anchor) (*Verifier, error) {
	signers, err := signer.NewSet(anchors)
	short, failed := gitsign.New(anchors)
	return &Verifier{signers, short}, errors.Join(err, failed)
}

// Prove gives a proof for each signer. What is signed is the content that the message carries, or else the file.
func (v *Verifier) Prove(ctx context.Context, content []byte, of proof.File) ([]proof.Proof, error) {
	if len(content) > MaxBytes {
		return []proof.Proof{proof.Bad(Kind, "the signature file has %d bytes, %d at most", len(content), MaxBytes)}, nil
	}
	der, err := decode(content)
	if err != nil {
		return []proof.Proof{proof.Bad(Kind, "the signature file %.300v", err)}, nil
	}
	m, err := signeddata.Parse(der)
	if err != nil {
		return []proof.Proof{proof.Bad(Kind, "the CMS message: %.300v", err)}, nil
	}
	if !m.ContentType.Equal(signeddata.OIDData) {
		return []proof.Proof{proof.Bad(Kind, "the CMS message is over content of type %.60s, not over a file as it is", m.ContentType.String())}, nil
	}
	return v.proveAll(ctx, m, of)
}

func (v *Verifier) proveAll(ctx context.Context, m *signeddata.Message, of proof.File) ([]proof.Proof, error) {
	p := &proving{v: v, message: m, search: chain.NewSearch(m.Certificates), content: newFile(ctx, of), scope: "the whole file"}
	if m.Content != nil {
		p.content, p.scope = signeddata.Bytes(m.Content), "the content in the signature file"
		p.signed = &proof.Signed{Content: m.Content}
	}
	list := make([]proof.Proof, 0, len(m.Signers))
	for _, s := range m.Signers {
		one, err := p.prove(s)
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return list, nil
}

// proving is the proof of one message.
type proving struct {
	v       *Verifier
	message *signeddata.Message
	search  *chain.Search
	content signeddata.Content
	scope   string
	signed  *proof.Signed
}

func (p *proving) prove(s *signeddata.Signer) (proof.Proof, error) {
	out := proof.Proof{Kind: Kind, Scope: p.scope, Signed: p.signed}
	by, err := p.check(&out, s)
	if err != nil || out.Problem != "" {
		return out, err
	}
	p.v.signers.Judge(&out, p.search, chain.Documents, s, by, p.message.Certificates)
	if out.Problem != "" && p.v.gitsign.Takes(by) {
		p.v.gitsign.Judge(&out, s, by)
		if out.Problem == "" {
			p.v.signers.Stamp(&out, p.search, s, p.message.Certificates)
		}
	}
	return out, nil
}

// check checks the signature by itself: the certificate that made it came along or is an anchor's, and its key signed the content.
func (p *proving) check(out *proof.Proof, s *signeddata.Signer) (*x509.Certificate, error) {
	by := p.v.signers.Certificate(s, p.message.Certificates)
	if by == nil {
		out.Problem = fmt.Sprintf("the certificate that made it (%s) is neither in the signature nor in a trust anchor", s.Names())
		return nil, nil
	}
	err := s.Check(by, p.message.ContentType, p.content)
	var reading *signeddata.ContentError
	var much *tooMuch
	switch {
	case errors.As(err, &much):
		out.Problem = much.Error()
	case errors.As(err, &reading):
		return nil, reading.Err
	case err != nil:
		out.Problem = fmt.Sprintf("the signature by %q %.200v", chain.Name(by), err)
	}
	return by, nil
}
