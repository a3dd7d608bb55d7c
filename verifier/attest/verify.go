package attest

import (
	"crypto"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	formats "github.com/transparency-dev/formats/log"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/verifier/publickey"
)

// Policy says what a bundle must be about.
type Policy struct {
	Artifact      digest.Digest // zero: any
	PredicateType string        // "": any
}

// Verified is what a bundle proves.
type Verified struct {
	Statement Decoded
	LogIndex  int64
	Time      time.Time // when the time-stamp authority saw the signature
	TreeSize  uint64    // of the checkpoint
	Origin    string    // the log's host name
	Steps     []string  // what was checked, one sentence each, for people
}

// Verify checks a bundle offline against a trusted root and the key of whoever signed the statement, and leaves nothing of the
// bundle unchecked: what it cannot check it refuses. Its errors name the part that is wrong.
func Verify(bundle, trustedRoot []byte, key crypto.PublicKey, p Policy) (*Verified, error) {
	v := &verification{policy: p, raw: bundle}
	var err error
	if v.key, err = publickey.P256(key); err != nil {
		return nil, err
	}
	if v.trusted, err = parseTrustedRoot(trustedRoot); err != nil {
		return nil, err
	}
	for _, s := range steps {
		sentence, err := s.check(v)
		if err != nil {
			return nil, refusal(s.part, err)
		}
		v.out.Steps = append(v.out.Steps, sentence)
	}
	return &v.out, nil
}

// verification is one run of Verify: what it was given, and what the steps so far have found.
type verification struct {
	policy  Policy
	raw     []byte
	key     *ecdsa.PublicKey
	trusted *root.TrustedRoot

	bundle     *protobundle.Bundle
	envelope   *Envelope
	entry      *protorekor.TransparencyLogEntry
	log        *root.TransparencyLog
	checkpoint *formats.Checkpoint

	out Verified
}

// steps stand in the order in which each may rely on those before it.
var steps = []struct {
	part  string
	check func(*verification) (string, error)
}{
	{"bundle", (*verification).parse},
	{"key hint", (*verification).checkHint},
	{"signature", (*verification).checkSignature},
	{"canonicalized body", (*verification).checkBody},
	{"log id", (*verification).findLog},
	{"checkpoint", (*verification).checkCheckpoint},
	{"inclusion proof", (*verification).checkInclusion},
	{"time stamp", (*verification).checkStamp},
	{"log key", (*verification).checkLogPeriod},
	{"statement", (*verification).checkStatement},
	{"artifact", (*verification).checkArtifact},
}

// refusal says which part of a bundle is wrong.
func refusal(part string, err error) error {
	kind := fault.Invalid
	message := err.Error()
	var e *fault.Error
	if errors.As(err, &e) {
		kind = e.Kind
	}
	return &fault.Error{Kind: kind, Reason: "NOT_VERIFIED", Field: part, Message: message}
}

func (v *verification) checkHint() (string, error) {
	id, err := publickey.ID(v.key)
	if err != nil {
		return "", err
	}
	if hint := v.bundle.GetVerificationMaterial().GetPublicKey().GetHint(); hint != id {
		return "", fmt.Errorf("the bundle was made with the key %q, not with %s", clip(hint), id)
	}
	return fmt.Sprintf("The bundle names the key %s, which is the one given.", id), nil
}

func (v *verification) checkSignature() (string, error) {
	if err := v.envelope.VerifyKey(v.key); err != nil {
		return "", err
	}
	return "The signature over the statement was made with that key.", nil
}

func (v *verification) checkStatement() (string, error) {
	s, err := v.envelope.Statement()
	if err != nil {
		return "", err
	}
	if want := v.policy.PredicateType; want != "" && s.PredicateType != want {
		return "", fmt.Errorf("the predicate type is %q, not %q", s.PredicateType, want)
	}
	v.out.Statement = s
	return fmt.Sprintf("The statement is an in-toto statement with %d subject(s) and the predicate type %s.", len(s.Subjects), s.PredicateType), nil
}

func (v *verification) checkArtifact() (string, error) {
	want := v.policy.Artifact
	if want.IsZero() {
		return "No artifact was given to look for among the subjects.", nil
	}
	if !v.out.Statement.Has(want) {
		return "", fmt.Errorf("%s is not among the statement's subjects", want)
	}
	return fmt.Sprintf("The artifact %s is among the statement's subjects.", want), nil
}

func clip(s string) string {
	const most = 120
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
