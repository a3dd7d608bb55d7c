package gitobject

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// claims is what a signature in an object says if it is good.
type claims struct {
	kind    string
	problem string // why the object does not lead to the deposited tree
	scope   string
	at      time.Time
}

// object judges the signature in an object; there is nothing to say of one without.
func (v *Verifier) object(ctx context.Context, p parts, c claims) ([]proof.Proof, error) {
	switch {
	case p.problem != "":
		return []proof.Proof{{Kind: c.kind, Problem: p.problem, Notes: p.notes}}, nil
	case len(p.signature) == 0:
		return nil, nil
	case len(p.signature) > maxSignatureBytes:
		return []proof.Proof{proof.Bad(c.kind, "the signature has %d bytes, %d at most", len(p.signature), maxSignatureBytes)}, nil
	}
	prover := v.provers[formOf(p.signature)]
	if prover == nil {
		return []proof.Proof{proof.Bad(c.kind, "is of no form that git writes: it begins with %.40q", p.signature)}, nil
	}
	list, err := prover.Prove(ctx, p.signature, proof.Bytes(proof.Source, c.kind, p.payload))
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return []proof.Proof{proof.Bad(c.kind, "the signature proves nothing")}, nil
	}
	out := make([]proof.Proof, 0, len(list))
	for _, one := range list {
		out = append(out, c.of(one, p))
	}
	return out, nil
}

// of makes of a proof over the payload one over what the object leads to.
func (c claims) of(one proof.Proof, p parts) proof.Proof {
	one.Kind, one.Scope = c.kind, c.scope
	one.Notes = append(slices.Clone(one.Notes), p.notes...)
	if one.Claim.IsZero() {
		one.Claim = c.at
	}
	switch {
	case one.Problem != "":
	case one.Signed != nil && !bytes.Equal(one.Signed.Content, p.payload):
		one.Problem = "the signature carries other content than the object that it stands in"
	case c.problem != "":
		one.Problem = proof.Text(c.problem, maxProblem)
	}
	if one.Problem != "" {
		one.Anchors = nil
	}
	one.Signed = nil
	return one
}
