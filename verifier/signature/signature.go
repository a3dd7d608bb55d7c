// Package signature says who signed a release's manifest: one small package per kind of signature behind one interface.
// It knows nothing of where signatures and trust anchors are kept.
package signature

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/sigstorebundle"
)

// Anchor is a key whose signatures count.
type Anchor = anchor.Anchor

// MaxSignatures is the most signatures that one manifest is judged by.
const MaxSignatures = 64

// Signature is one signature over a manifest.
type Signature struct {
	MediaType string
	Content   []byte
}

// Kind judges signatures of one media type. An implementation works offline, keeps nothing, may be called concurrently, and
// answers hostile content with evidence that is not valid and says in Problem what is wrong.
type Kind interface {
	MediaType() string
	Verify(ctx context.Context, content, artifact []byte, anchors []Anchor, now time.Time) finding.SignatureEvidence
}

// kinds are the kinds that count.
var kinds = []Kind{sigstorebundle.Kind{}}

// Check judges every signature over a manifest. One good signature is enough to pass; all are listed.
func Check(ctx context.Context, manifest []byte, sigs []Signature, anchors []Anchor, now time.Time) finding.Finding {
	f := finding.Finding{Check: finding.Signature, Outcome: finding.Failed}
	if len(sigs) > MaxSignatures {
		f.Summary = fmt.Sprintf("%d signatures, %d at most", len(sigs), MaxSignatures)
		return f
	}
	valid := 0
	for _, s := range sigs {
		e := judge(ctx, s, manifest, anchors, now)
		if e.Valid {
			valid++
		}
		f.Evidence.Signatures = append(f.Evidence.Signatures, e)
	}
	if valid > 0 {
		f.Outcome = finding.Passed
	}
	f.Summary = summary(f.Evidence.Signatures, valid)
	return f
}

func judge(ctx context.Context, s Signature, manifest []byte, anchors []Anchor, now time.Time) finding.SignatureEvidence {
	for _, k := range kinds {
		if k.MediaType() == s.MediaType {
			return k.Verify(ctx, s.Content, manifest, anchors, now)
		}
	}
	return finding.SignatureEvidence{
		Kind:    "unknown",
		Covers:  "nothing",
		Problem: fmt.Sprintf("no kind of signature has the media type %q; known: %s", clip(s.MediaType), known()),
	}
}

func summary(sigs []finding.SignatureEvidence, valid int) string {
	switch {
	case len(sigs) == 0:
		return "the manifest carries no signature"
	case valid == 0:
		return fmt.Sprintf("none of %d signatures counts: %s", len(sigs), sigs[0].Problem)
	}
	for _, s := range sigs {
		if s.Valid {
			return fmt.Sprintf("%d of %d signatures count; by %s", valid, len(sigs), s.Anchor)
		}
	}
	return ""
}

func known() string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.MediaType()
	}
	return strings.Join(names, ", ")
}

func clip(s string) string {
	const most = 120
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
