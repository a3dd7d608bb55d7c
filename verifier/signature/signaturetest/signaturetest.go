// Package signaturetest holds every kind of signature against the same promises. It knows nothing of any of them.
package signaturetest

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// Prover is a kind of signature with its anchors.
type Prover interface {
	Prove(ctx context.Context, content []byte, of proof.File) ([]proof.Proof, error)
}

// Case is one good signature, and what would be another's.
type Case struct {
	New      func(anchors []anchor.Anchor) (Prover, error)
	Signer   anchor.Anchor // made it
	Stranger anchor.Anchor // of the same kind, did not
	Content  []byte        // the signature file
	Signed   []byte        // what it is over; nil where the signature file carries that itself
	// Bytes are offsets into Content of bytes each of whose bits matters: of the signature itself, and of what it carries.
	Bytes []int
	// ByDigest says that the file's digest is enough to judge by, so that the file is not opened.
	ByDigest bool
}

// Run holds a kind against what it promises.
func Run(t *testing.T, c Case) {
	t.Run("good", c.good)
	t.Run("good beside others", c.goodBesideOthers)
	t.Run("one bit of what is signed", c.bitOfSigned)
	t.Run("one bit of the signature", c.bitOfSignature)
	t.Run("cut off", c.cutOff)
	t.Run("stranger", c.stranger)
	t.Run("no anchor", c.noAnchor)
	t.Run("unreadable anchor", c.unreadableAnchor)
	t.Run("nonsense", c.nonsense)
	t.Run("failing file", c.failingFile)
	t.Run("at once", c.atOnce)
}

func (c *Case) file() proof.File { return proof.Bytes(proof.Artifact, "file", c.Signed) }

func (c *Case) prover(t *testing.T, anchors ...anchor.Anchor) Prover {
	t.Helper()
	p, err := c.New(anchors)
	if err != nil {
		t.Fatalf("anchors: %v", err)
	}
	return p
}

func prove(t *testing.T, p Prover, content []byte, of proof.File) []proof.Proof {
	t.Helper()
	list, err := p.Prove(t.Context(), content, of)
	if err != nil {
		t.Fatalf("%v", err)
	}
	if len(list) == 0 {
		t.Fatal("not one proof: a signature file that proves nothing says so")
	}
	for _, p := range list {
		if p.Kind == "" || (p.Problem == "") != (len(p.Anchors) > 0) {
			t.Fatalf("neither good nor bad: %+v", p)
		}
	}
	return list
}

// good returns the proofs by somebody known.
func good(list []proof.Proof) (out []proof.Proof) {
	for _, p := range list {
		if p.Problem == "" {
			out = append(out, p)
		}
	}
	return out
}

func (c *Case) good(t *testing.T) {
	list := prove(t, c.prover(t, c.Signer), c.Content, c.file())
	if len(good(list)) != len(list) {
		t.Fatalf("not good: %+v", list)
	}
	for _, p := range list {
		if len(p.Anchors) != 1 || p.Anchors[0].Name != c.Signer.Name || p.KeyID == "" || (c.Signed == nil) != (p.Signed != nil) {
			t.Errorf("%+v", p)
		}
	}
}

func (c *Case) goodBesideOthers(t *testing.T) {
	twin := c.Signer
	twin.Name += "-twin"
	list := good(prove(t, c.prover(t, c.Stranger, c.Signer, anchor.Anchor{Name: "other", Kind: "OTHER", Material: "?"}, twin), c.Content, c.file()))
	if len(list) == 0 || len(list[0].Anchors) != 2 || list[0].Anchors[0].Name != c.Signer.Name || list[0].Anchors[1].Name != twin.Name {
		t.Errorf("%+v, want both anchors with the key, in their order", list)
	}
}

func (c *Case) bitOfSigned(t *testing.T) {
	if c.Signed == nil {
		t.Skip("the signature file carries what it is over")
	}
	p := c.prover(t, c.Signer)
	for _, at := range []int{0, len(c.Signed) / 2, len(c.Signed) - 1} {
		if list := good(prove(t, p, c.Content, proof.Bytes(proof.Artifact, "file", flip(c.Signed, at, 0)))); len(list) > 0 {
			t.Errorf("byte %d: still good: %+v", at, list)
		}
	}
	if list := good(prove(t, p, c.Content, proof.Bytes(proof.Artifact, "file", append(bytes.Clone(c.Signed), '\n')))); len(list) > 0 {
		t.Errorf("a line more: still good: %+v", list)
	}
}

func (c *Case) bitOfSignature(t *testing.T) {
	if len(c.Bytes) == 0 {
		t.Fatal("the case names no bytes to change")
	}
	p := c.prover(t, c.Signer)
	for _, at := range c.Bytes {
		for bit := range 8 {
			if list := good(prove(t, p, flip(c.Content, at, bit), c.file())); len(list) > 0 {
				t.Errorf("byte %d, bit %d: still good: %+v", at, bit, list)
			}
		}
	}
}

func flip(b []byte, at, bit int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1 << bit
	return b
}

func (c *Case) cutOff(t *testing.T) {
	p := c.prover(t, c.Signer)
	end := c.Bytes[len(c.Bytes)-1]
	for _, n := range []int{0, 1, end / 4, end / 2, end} {
		list := prove(t, p, c.Content[:n], c.file())
		if len(good(list)) > 0 {
			t.Errorf("the first %d of %d bytes: still good: %+v", n, len(c.Content), list)
		}
	}
}

func (c *Case) stranger(t *testing.T) {
	for _, p := range prove(t, c.prover(t, c.Stranger), c.Content, c.file()) {
		if p.Problem == "" || !strings.Contains(p.Problem, "trust anchor") {
			t.Errorf("%+v, want one that says that no trust anchor made it", p)
		}
	}
}

func (c *Case) noAnchor(t *testing.T) {
	if list := good(prove(t, c.prover(t), c.Content, c.file())); len(list) > 0 {
		t.Errorf("good, by nobody: %+v", list)
	}
}

// unreadableAnchor makes sure that one bad anchor is named and takes nothing from the others.
func (c *Case) unreadableAnchor(t *testing.T) {
	bad := anchor.Anchor{Name: "organizations/o/trustAnchors/bad", Kind: c.Signer.Kind, Material: "\x00 nonsense"}
	p, err := c.New([]anchor.Anchor{bad, c.Signer})
	if err == nil || !strings.Contains(err.Error(), bad.Name) || p == nil {
		t.Fatalf("%v, %v; want a prover, and an error that names %s", p, err, bad.Name)
	}
	if list := good(prove(t, p, c.Content, c.file())); len(list) == 0 {
		t.Error("the other anchor counts no more")
	}
}

func (c *Case) nonsense(t *testing.T) {
	p := c.prover(t, c.Signer)
	for _, b := range [][]byte{nil, {0}, []byte("nonsense\n"), bytes.Repeat([]byte{0xff}, 1000), bytes.Repeat([]byte("-----BEGIN "), 1000),
		bytes.Repeat([]byte{0x30, 0x80}, 20000), bytes.Repeat([]byte("{\"a\":"), 20000), bytes.Repeat([]byte("A"), 16<<20)} {
		for _, got := range prove(t, p, b, c.file()) {
			if got.Problem == "" || len(got.Problem) > 2000 {
				t.Errorf("%.20q: %+v", b, got)
			}
		}
	}
}

var errBroken = errors.New("the disk is broken")

// failingFile makes sure that a failure of this side is no verdict on the signature.
func (c *Case) failingFile(t *testing.T) {
	if c.Signed == nil {
		t.Skip("the signature file carries what it is over")
	}
	if c.ByDigest {
		t.Skip("the file is not opened")
	}
	f := c.file()
	f.Open = func(context.Context) (proof.Content, error) { return nil, errBroken }
	if list, err := c.prover(t, c.Signer).Prove(t.Context(), c.Content, f); !errors.Is(err, errBroken) {
		t.Errorf("%+v, %v", list, err)
	}
	f.Open = func(context.Context) (proof.Content, error) { return brokenContent{}, nil }
	if list, err := c.prover(t, c.Signer).Prove(t.Context(), c.Content, f); !errors.Is(err, errBroken) {
		t.Errorf("%+v, %v", list, err)
	}
}

type brokenContent struct{}

func (brokenContent) ReadAt([]byte, int64) (int, error) { return 0, errBroken }
func (brokenContent) Close() error                      { return nil }

func (c *Case) atOnce(t *testing.T) {
	p := c.prover(t, c.Signer, c.Stranger)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if list, err := p.Prove(t.Context(), c.Content, c.file()); err != nil || len(good(list)) == 0 {
				t.Errorf("%+v, %v", list, err)
			}
		})
	}
	all.Wait()
}
