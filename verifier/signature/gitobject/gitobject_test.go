package gitobject_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/gitobject"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// answer stands for a kind of signature that says what a test wants to hear.
type answer struct {
	list []proof.Proof
	err  error
}

func (a answer) Prove(context.Context, []byte, proof.File) ([]proof.Proof, error) {
	return a.list, a.err
}

const someCommit = "tree 1111111111111111111111111111111111111111\nauthor a <b> 1 +0000\ncommitter a <b> 7 +0000\n"

func signedCommit(begin string) gitobject.Source {
	return source("v1", nil, []byte(someCommit+"gpgsig "+begin+"\n A\n\nm\n"))
}

func TestUnsignedIsNoBadSignature(t *testing.T) {
	none := answer{err: errors.New("asked")}
	commit := []byte(someCommit + "\nm\n")
	tag := []byte("object " + idOf("commit", commit) + "\ntype commit\ntag v1\ntagger a <b> 1 +0000\n\nm\n")
	if list, err := gitobject.New(none, none, none).Prove(t.Context(), source("v1", tag, commit)); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestWhatAProofBecomes(t *testing.T) {
	by := []*anchor.Anchor{{Name: "a"}}
	said := time.Unix(5, 0).UTC()
	good := proof.Proof{Kind: "x", Anchors: by, KeyID: "k", Signer: "s", Weak: []proof.Weakness{proof.SHA1}, Notes: []string{"n"}}
	other := good
	other.Signed = &proof.Signed{Content: []byte("another text")}
	same := good
	same.Signed, same.Claim = &proof.Signed{Content: []byte(someCommit + "\nm\n")}, said
	for name, c := range map[string]struct {
		in      proof.Proof
		problem string
		claim   time.Time
	}{
		"good":          {good, "", time.Unix(7, 0).UTC()},
		"other content": {other, "carries other content", time.Unix(7, 0).UTC()},
		"same content":  {same, "", said},
		"bad":           {proof.Bad("x", "broken"), "broken", time.Unix(7, 0).UTC()},
	} {
		list := prove(t, gitobject.New(answer{list: []proof.Proof{c.in}}, nil, nil), signedCommit("-----BEGIN PGP SIGNATURE-----"))
		if len(list) != 1 {
			t.Fatalf("%s: %+v", name, list)
		}
		p := list[0]
		if (p.Problem == "") != (c.problem == "") || !strings.Contains(p.Problem, c.problem) || (p.Problem == "") != (len(p.Anchors) > 0) {
			t.Errorf("%s: %+v", name, p)
		}
		if p.Kind != gitobject.KindCommit || p.Signed != nil || !p.Claim.Equal(c.claim) || p.KeyID != c.in.KeyID || len(p.Weak) != len(c.in.Weak) {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

func TestFailuresAreNoVerdict(t *testing.T) {
	broken := errors.New("the disk is broken")
	if _, err := gitobject.New(answer{err: broken}, nil, nil).Prove(t.Context(), signedCommit("-----BEGIN PGP SIGNATURE-----")); !errors.Is(err, broken) {
		t.Error(err)
	}
}

func TestEachFormHasItsProver(t *testing.T) {
	says := func(s string) answer { return answer{list: []proof.Proof{proof.Bad("x", "%s", s)}} }
	v := gitobject.New(says("pgp"), says("ssh"), says("x509"))
	for begin, want := range map[string]string{
		"-----BEGIN PGP SIGNATURE-----": "pgp", "-----BEGIN PGP MESSAGE-----": "pgp", "-----BEGIN SSH SIGNATURE-----": "ssh",
		"-----BEGIN SIGNED MESSAGE-----": "x509", "-----BEGIN OTHER-----": "no form that git writes", "\xff": "no form",
		"-----BEGIN PGP SIGNATURE-----" + strings.Repeat("x", 300<<10): "at most",
	} {
		mustFail(t, begin[:1], prove(t, v, signedCommit(begin)), gitobject.KindCommit, want)
	}
	mustFail(t, "silence", prove(t, gitobject.New(answer{}, nil, nil), signedCommit("-----BEGIN PGP SIGNATURE-----")), gitobject.KindCommit, "proves nothing")
}

// Names are as long as their makers like; problems are not.
func TestProblemsAreShort(t *testing.T) {
	commit := []byte(someCommit + "\nm\n")
	long := strings.Repeat("\x01", 5000)
	tag := []byte("object " + idOf("commit", commit) + "\ntype commit\ntag " + long + "\n\n-----BEGIN PGP SIGNATURE-----\n")
	good := answer{list: []proof.Proof{{Kind: "x", Anchors: []*anchor.Anchor{{}}}}}
	mustFail(t, "long", prove(t, gitobject.New(good, nil, nil), source("v1", tag, commit)), gitobject.KindTag, "another tag")
}
