package signature

import (
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

func day(n int) time.Time { return time.Date(2026, 1, n, 12, 0, 0, 0, time.UTC) }

// deposited is the day on which the releases of these tests are sealed.
var deposited = day(20)

func newAnchor(name string, purpose anchor.Purpose) *anchor.Anchor {
	return &anchor.Anchor{Name: "organizations/vendor/trustAnchors/" + name, Purpose: purpose}
}

// stamped is a time stamp on a day, by an authority whose anchor is root.
func stamped(n int, root *anchor.Anchor) proof.Time {
	return proof.Time{At: day(n), By: "a time stamp", Root: root}
}

// TestRules has the rules by which signatures count, whatever their kind.
func TestRules(t *testing.T) {
	release := newAnchor("release", anchor.Release)
	of := func(roles ...proof.Role) (c coverage) {
		for _, r := range roles {
			c.files = append(c.files, proof.Covered{Role: r, Name: "a file"})
		}
		c.text = "some files"
		return c
	}
	term := func(change func(*anchor.Anchor)) *anchor.Anchor {
		a := newAnchor("term", anchor.Release)
		change(a)
		return a
	}
	by := func(anchors ...*anchor.Anchor) proof.Proof { return proof.Proof{Kind: "k", Anchors: anchors} }
	with := func(p proof.Proof, change func(*proof.Proof)) proof.Proof {
		change(&p)
		return p
	}
	revoked := term(func(a *anchor.Anchor) { a.Revoked = day(10) })
	compromised := term(func(a *anchor.Anchor) { a.Revoked, a.Compromised = day(25), true })
	late, over := term(func(a *anchor.Anchor) { a.From = day(15) }), term(func(a *anchor.Anchor) { a.Until = day(15) })
	tsa, badTSA := newAnchor("tsa", anchor.Time), &anchor.Anchor{Name: "tsa", Purpose: anchor.Time, Revoked: day(1)}
	expired := func(p *proof.Proof) { p.Life = proof.Life{From: day(1), Until: day(10)} }
	stampAt := func(n int, root *anchor.Anchor) func(*proof.Proof) {
		return func(p *proof.Proof) { p.Times = append(p.Times, stamped(n, root)) }
	}
	weak := func(p *proof.Proof) { p.Weak = []proof.Weakness{proof.SHA1} }
	manifest := of(proof.Manifest)
	for name, c := range map[string]struct {
		p       proof.Proof
		c       coverage
		problem string // "" where it counts
	}{
		"an anchor's":                    {by(release), manifest, ""},
		"a stranger's":                   {proof.Bad("k", "not by any trust anchor"), manifest, "not by any trust anchor"},
		"nobody's, and no reason":        {by(), manifest, "not made by any trust anchor"},
		"covers nothing":                 {by(release), coverage{problem: "names no file"}, "names no file"},
		"before the anchor's term":       {with(by(late), stampAt(5, tsa)), manifest, "counts only from 2026-01-15"},
		"in the anchor's term":           {by(late), manifest, ""},
		"after the anchor's term":        {by(over), manifest, "counted only until 2026-01-15"},
		"stamped in the anchor's term":   {with(by(over), stampAt(5, tsa)), manifest, ""},
		"after a revocation":             {by(revoked), manifest, "was revoked at 2026-01-10"},
		"stamped before the revocation":  {with(by(revoked), stampAt(5, tsa)), manifest, ""},
		"stamped after the revocation":   {with(by(revoked), stampAt(12, tsa)), manifest, "was revoked"},
		"at the revocation":              {with(by(revoked), stampAt(10, tsa)), manifest, "was revoked"},
		"compromised":                    {by(compromised), manifest, "is compromised"},
		"compromised, stamped long ago":  {with(by(compromised), stampAt(2, tsa)), manifest, "is compromised"},
		"expired":                        {with(by(release), expired), manifest, "only a trusted time stamp or log entry can"},
		"expired, claimed in time":       {with(with(by(release), expired), func(p *proof.Proof) { p.Claim = day(5) }), manifest, "expired at 2026-01-10"},
		"expired, stamped in time":       {with(with(by(release), expired), stampAt(5, tsa)), manifest, ""},
		"expired, stamped too late":      {with(with(by(release), expired), stampAt(11, tsa)), manifest, "expired at 2026-01-10"},
		"stamped before the life":        {with(by(release), func(p *proof.Proof) { expired(p); p.Life.From = day(3); stampAt(2, tsa)(p) }), manifest, "good only from"},
		"stamped by a revoked authority": {with(with(by(release), expired), stampAt(5, badTSA)), manifest, "expired"},
		"the key's own revocation":       {with(by(release), func(p *proof.Proof) { p.Life.Revoked = day(10) }), manifest, "was revoked at 2026-01-10"},
		"the key's own, stamped before":  {with(by(release), func(p *proof.Proof) { p.Life.Revoked = day(10); stampAt(5, tsa)(p) }), manifest, ""},
		"the key's own, compromised":     {with(by(release), func(p *proof.Proof) { p.Life.Revoked, p.Life.Compromised = day(30), true; stampAt(5, tsa)(p) }), manifest, "revoked as compromised"},
		"claims to be later":             {with(by(release), func(p *proof.Proof) { p.Claim = day(22) }), manifest, "claims to have been made at 2026-01-22"},
		"claims to be a little later":    {with(by(release), func(p *proof.Proof) { p.Claim = deposited.Add(time.Hour) }), manifest, ""},
		"weak":                           {with(by(release), weak), manifest, "SHA-1, which is too weak"},
		"weak, allowed":                  {with(by(term(func(a *anchor.Anchor) { a.Unsafe.SHA1 = true })), weak), manifest, ""},
		"weak, another allowed":          {with(by(term(func(a *anchor.Anchor) { a.Unsafe.MD5, a.Unsafe.ShortRSA = true, true })), weak), manifest, "too weak"},
		"weak in two ways, one allowed":  {with(by(term(func(a *anchor.Anchor) { a.Unsafe.SHA1 = true })), func(p *proof.Proof) { weak(p); p.Weak = append(p.Weak, proof.ShortRSA) }), manifest, "RSA under 2048"},
		"a source's anchor on sources":   {by(newAnchor("upstream", anchor.Source)), of(proof.Source), ""},
		"a source's anchor, manifest":    {by(newAnchor("upstream", anchor.Source)), manifest, "is for the purpose SOURCE"},
		"a source's anchor, artifact":    {by(newAnchor("upstream", anchor.Source)), of(proof.Artifact), "is for the purpose SOURCE"},
		"an artifact's anchor, source":   {by(newAnchor("code", anchor.Artifact)), of(proof.Source), "is for the purpose ARTIFACT"},
		"a stamping authority's":         {by(tsa), manifest, "is for the purpose TIME"},
		"second anchor counts":           {by(revoked, release), manifest, ""},
		"a root that does not count":     {with(by(release), func(p *proof.Proof) { p.Roots = []*anchor.Anchor{revoked} }), manifest, "it rests on organizations/vendor/trustAnchors/term: "},
		"a root for another purpose":     {with(by(release), func(p *proof.Proof) { p.Roots = []*anchor.Anchor{newAnchor("r", anchor.Source)} }), manifest, "r, which is for the purpose SOURCE"},
		"a root for this purpose":        {with(by(release), func(p *proof.Proof) { p.Roots = []*anchor.Anchor{newAnchor("r", anchor.Source)} }), of(proof.Source), ""},
		"a root for times":               {with(by(release), func(p *proof.Proof) { p.Roots = []*anchor.Anchor{tsa} }), manifest, ""},
		"a root that counts":             {with(by(release), func(p *proof.Proof) { p.Roots = []*anchor.Anchor{release} }), manifest, ""},
	} {
		e := judge(c.p, c.c, deposited)
		if e.Valid != (c.problem == "") || !strings.Contains(e.Problem, c.problem) || (e.Problem == "") != e.Valid || e.Valid != (len(e.Files) > 0) {
			t.Errorf("%s: %+v, want %q", name, e, c.problem)
		}
	}
}

func TestOnlyWhatThePurposeAllowsIsCovered(t *testing.T) {
	c := coverage{files: []proof.Covered{{Role: proof.Manifest, Name: "manifest"}, {Role: proof.Source, Name: "src"}, {Role: proof.Artifact, Name: "bin"}}}
	for purpose, want := range map[anchor.Purpose]string{anchor.Release: "manifest src bin", anchor.Source: "src", anchor.Artifact: "bin"} {
		var names []string
		for _, f := range judge(proof.Proof{Anchors: []*anchor.Anchor{newAnchor("a", purpose)}}, c, deposited).Files {
			names = append(names, f.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: %s, want %s", purpose, got, want)
		}
	}
}

func TestHowTheTimeIsKnown(t *testing.T) {
	tsa := newAnchor("tsa", anchor.Time)
	gone := &anchor.Anchor{Name: "gone", Compromised: true}
	for name, c := range map[string]struct {
		times []proof.Time
		at    time.Time
		by    string
		notes int
	}{
		"nothing is proved":        {nil, deposited, "the deposit", 0},
		"the earliest proof":       {[]proof.Time{stamped(9, tsa), {At: day(7), By: "a log"}, stamped(8, tsa)}, day(7), "a log", 0},
		"a proof after deposit":    {[]proof.Time{stamped(25, tsa)}, deposited, "the deposit", 0},
		"an authority out of date": {[]proof.Time{stamped(5, gone), stamped(8, tsa)}, day(8), "a time stamp", 1},
	} {
		e := judge(proof.Proof{Times: c.times, Anchors: []*anchor.Anchor{newAnchor("a", anchor.Release)}}, coverage{}, deposited)
		if e.Time != c.at.Format(time.RFC3339) || !strings.HasPrefix(e.TimeBy, c.by) || len(e.Notes) != c.notes {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

func TestConclude(t *testing.T) {
	valid := func(role proof.Role) finding.SignatureEvidence {
		return finding.SignatureEvidence{Valid: true, Anchor: "the anchor", Files: []finding.CoveredFile{{Role: string(role)}}}
	}
	bad := finding.SignatureEvidence{Problem: "it is by a stranger"}
	for name, c := range map[string]struct {
		evidence []finding.SignatureEvidence
		outcome  finding.Outcome
		summary  string
	}{
		"none":             {nil, finding.Failed, "no signature"},
		"a bad one":        {[]finding.SignatureEvidence{bad}, finding.Failed, "none of 1 signatures counts: it is by a stranger"},
		"over a source":    {[]finding.SignatureEvidence{bad, valid(proof.Source)}, finding.Failed, "1 of 2 signatures count, and none of them is over the manifest"},
		"over the release": {[]finding.SignatureEvidence{bad, valid(proof.Source), valid(proof.Manifest)}, finding.Passed, "2 of 3 signatures count; the manifest is signed by the anchor"},
	} {
		if outcome, summary := conclude(c.evidence); outcome != c.outcome || !strings.Contains(summary, c.summary) {
			t.Errorf("%s: %s, %s", name, outcome, summary)
		}
	}
}

// TestAnchorThatCoversMostIsTaken: whoever registers a key twice means both.
func TestAnchorThatCoversMostIsTaken(t *testing.T) {
	c := coverage{files: []proof.Covered{{Role: proof.Manifest, Name: "manifest"}, {Role: proof.Source, Name: "src"}}}
	source, release, later := newAnchor("source", anchor.Source), newAnchor("release", anchor.Release), newAnchor("later", anchor.Release)
	e := judge(proof.Proof{Anchors: []*anchor.Anchor{source, release, later}}, c, deposited)
	if e.Anchor != release.Name || len(e.Files) != 2 {
		t.Errorf("%+v", e)
	}
}
