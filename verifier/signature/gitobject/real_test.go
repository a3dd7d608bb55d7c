package gitobject_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/cms"
	"github.com/countersign-escrow/countersign/verifier/signature/gitobject"
	"github.com/countersign-escrow/countersign/verifier/signature/openpgp"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
	"github.com/countersign-escrow/countersign/verifier/signature/sshsig"
)

// inGit is SSH signatures as git makes them.
type inGit struct{ *sshsig.Verifier }

func (g inGit) Prove(ctx context.Context, content []byte, of proof.File) ([]proof.Proof, error) {
	return g.ProveNamespace(ctx, content, of, sshsig.NamespaceGit)
}

func verifier(t testing.TB, anchors ...anchor.Anchor) *gitobject.Verifier {
	t.Helper()
	pgp, err := openpgp.New(anchors)
	if err != nil {
		t.Fatal(err)
	}
	ssh, err := sshsig.New(anchors)
	if err != nil {
		t.Fatal(err)
	}
	x509, err := cms.New(anchors)
	if err != nil {
		t.Fatal(err)
	}
	return gitobject.New(pgp, inGit{ssh}, x509)
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func idOf(kind string, content []byte) string {
	return fmt.Sprintf("%x", sha1.Sum(fmt.Appendf(nil, "%s %d\x00%s", kind, len(content), content)))
}

// source makes a source of two objects, with ids that agree; tag may be nil.
func source(ref string, tag, commit []byte) gitobject.Source {
	s := gitobject.Source{File: proof.Bytes(proof.Source, "source.bundle", nil), Ref: ref, Tag: tag, Commit: commit, CommitID: idOf("commit", commit)}
	if tag != nil {
		s.TagID = idOf("tag", tag)
	}
	s.TreeID = string(commit[len("tree "):][:40])
	return s
}

func lasse(t testing.TB) anchor.Anchor {
	return anchor.Anchor{Name: "lasse", Kind: anchor.OpenPGP, Material: string(read(t, "lasse-collin.asc")), Purpose: anchor.Source}
}

// sigstore is the public authority and one who signs by it.
func sigstore(t testing.TB, subject string) []anchor.Anchor {
	t.Helper()
	material, err := anchor.Material(anchor.Identity{Issuer: anchor.Name{Exact: "https://accounts.google.com"}, Subject: anchor.Name{Exact: subject}})
	if err != nil {
		t.Fatal(err)
	}
	return []anchor.Anchor{
		{Name: "root", Kind: anchor.SigstoreRoot, Material: string(read(t, "trusted-root-public-good.json")), Purpose: anchor.Source},
		{Name: "identity", Kind: anchor.SigstoreIdentity, Material: material, Purpose: anchor.Source},
	}
}

// ownKey takes the key out of an SSH signature in a commit. It shows nothing of whose it is: see testdata/README.md.
func ownKey(t testing.TB, commit []byte) anchor.Anchor {
	t.Helper()
	_, folded, _ := bytes.Cut(commit, []byte("gpgsig "))
	block, _ := pem.Decode(bytes.ReplaceAll(folded, []byte("\n "), []byte("\n")))
	if block == nil {
		t.Fatal("no signature")
	}
	key := block.Bytes[len("SSHSIG")+4:]
	key = key[4:][:binary.BigEndian.Uint32(key)]
	name := key[4:][:binary.BigEndian.Uint32(key)]
	return anchor.Anchor{Name: "ssh", Kind: anchor.SSH, Material: fmt.Sprintf("signer %s %s\n", name, base64.StdEncoding.EncodeToString(key)), Purpose: anchor.Source}
}

// sample is a real signature, with what else is in its source.
type sample struct {
	name    string
	source  gitobject.Source
	anchors []anchor.Anchor
	anchor  string
	kinds   []string // of all proofs in the source, by that anchor
}

func samples(t testing.TB) []sample {
	both := []string{gitobject.KindTag, gitobject.KindCommit}
	file, chip := read(t, "ssh-ed25519.commit"), read(t, "ssh-sk-ed25519.commit")
	return []sample{
		{"xz 5.8.2", source("v5.8.2", read(t, "xz-v5.8.2.tag"), read(t, "xz-v5.8.2.commit")), []anchor.Anchor{lasse(t)}, "lasse", both},
		{"xz 5.4.1", source("v5.4.1", read(t, "xz-v5.4.1.tag"), read(t, "xz-v5.4.1.commit")), []anchor.Anchor{lasse(t)}, "lasse", both[:1]},
		{"gitsign with its log entry", source("light", nil, read(t, "gitsign.commit")), sigstore(t, "billy@chainguard.dev"), "identity", both[1:]},
		{"SSH, key in a file", source("light", nil, file), []anchor.Anchor{ownKey(t, file)}, "ssh", both[1:]},
		{"SSH, key in a chip", source("light", nil, chip), []anchor.Anchor{ownKey(t, chip)}, "ssh", both[1:]},
	}
}

func prove(t testing.TB, v *gitobject.Verifier, s gitobject.Source) []proof.Proof {
	t.Helper()
	list, err := v.Prove(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestRealSignatures(t *testing.T) {
	for _, c := range samples(t) {
		list := prove(t, verifier(t, c.anchors...), c.source)
		if len(list) != len(c.kinds) {
			t.Fatalf("%s: %+v", c.name, list)
		}
		for i, p := range list {
			if p.Problem != "" || p.Kind != c.kinds[i] || len(p.Anchors) != 1 || p.Anchors[0].Name != c.anchor || p.Signed != nil || p.Claim.IsZero() {
				t.Errorf("%s: %+v", c.name, p)
			}
			if !strings.Contains(p.Scope, "tree "+c.source.TreeID) || !strings.Contains(p.Scope, c.source.CommitID) {
				t.Errorf("%s: %s", c.name, p.Scope)
			}
		}
	}
}

// Any bit of what is signed, and of the signature, breaks it. Ids are made to agree, or else they alone would be what is wrong.
func TestRealSignaturesChanged(t *testing.T) {
	for _, c := range samples(t) {
		v := verifier(t, c.anchors...)
		for _, kind := range c.kinds {
			object := c.source.Commit
			if kind == gitobject.KindTag {
				object = c.source.Tag
			}
			sig := bytes.Index(object, []byte("-----BEGIN "))
			for _, at := range []int{bytes.Index(object, []byte("<")) + 3, bytes.LastIndexByte(object[:bytes.Index(object, []byte("> "))], '.'), sig + 250, sig + 300} {
				changed := bytes.Clone(object)
				changed[at] ^= 1
				s := source(c.source.Ref, c.source.Tag, changed)
				if kind == gitobject.KindTag {
					s = source(c.source.Ref, changed, c.source.Commit)
				}
				mustFail(t, fmt.Sprintf("%s, %s, byte %d", c.name, kind, at), prove(t, v, s), kind, "")
			}
		}
	}
}

// mustFail makes sure that all proofs of a kind have a problem, and that there is one.
func mustFail(t *testing.T, name string, list []proof.Proof, kind, why string) {
	t.Helper()
	found := false
	for _, p := range list {
		if p.Kind != kind {
			continue
		}
		found = true
		if p.Problem == "" || len(p.Anchors) > 0 || !strings.Contains(p.Problem, why) || len(p.Problem) > 500 {
			t.Errorf("%s: %+v, want a problem with %q", name, p, why)
		}
	}
	if !found {
		t.Errorf("%s: no proof of %s at all: %+v", name, kind, list)
	}
}

func TestRealSignaturesElsewhere(t *testing.T) {
	good := samples(t)[0]
	v := verifier(t, good.anchors...)
	other := source("v5.4.1", read(t, "xz-v5.4.1.tag"), read(t, "xz-v5.4.1.commit"))
	for name, c := range map[string]struct {
		change    func(*gitobject.Source)
		tag, both string
	}{
		"another tag's name":      {func(s *gitobject.Source) { s.Ref = "v5.8.3" }, "the tag object is that of another tag", ""},
		"another commit":          {func(s *gitobject.Source) { s.Commit, s.CommitID, s.TreeID = other.Commit, other.CommitID, other.TreeID }, "for another commit", ""},
		"another tree":            {func(s *gitobject.Source) { s.TreeID = other.TreeID }, "for another tree", "for another tree"},
		"another tag of the same": {func(s *gitobject.Source) { s.Tag, s.TagID = other.Tag, other.TagID }, "another tag", ""},
		"another id of the tag":   {func(s *gitobject.Source) { s.TagID = other.TagID }, "has the id", ""},
	} {
		s := good.source
		c.change(&s)
		list := prove(t, v, s)
		mustFail(t, name, list, gitobject.KindTag, c.tag)
		if c.both != "" {
			mustFail(t, name, list, gitobject.KindCommit, c.both)
		}
	}
}

func TestRealSignaturesByOthers(t *testing.T) {
	all := samples(t)
	for _, c := range []struct {
		name    string
		of      sample
		anchors []anchor.Anchor
		why     string
	}{
		{"OpenPGP, no anchor", all[0], nil, "trust anchor"},
		{"OpenPGP, another kind of anchor", all[0], all[3].anchors, "trust anchor"},
		{"SSH, another key", all[3], all[4].anchors, "trust anchor"},
		{"gitsign, another identity", all[2], sigstore(t, "eve@chainguard.dev"), "trust anchor"},
		{"gitsign, no root", all[2], all[2].anchors[1:], "trust"},
	} {
		for _, kind := range c.of.kinds {
			mustFail(t, c.name, prove(t, verifier(t, c.anchors...), c.of.source), kind, c.why)
		}
	}
}

// A certificate that was good for ten minutes, and no log entry in the tag: when it was made is the signer's word.
func TestGitsignWithoutLogEntry(t *testing.T) {
	s := source("v0.9.1", read(t, "gitsign-v0.9.1.tag"), read(t, "gitsign-v0.9.1.commit"))
	list := prove(t, verifier(t, sigstore(t, "billy@chainguard.dev")...), s)
	if len(list) != 2 || len(list[0].Times) > 0 || list[0].Problem == "" && list[0].Life.Until.IsZero() {
		t.Errorf("%+v", list)
	}
	mustFail(t, "GitHub's own signature", list, gitobject.KindCommit, "trust anchor")
}

func BenchmarkProve(b *testing.B) {
	for _, c := range samples(b) {
		v := verifier(b, c.anchors...)
		b.Run(strings.ReplaceAll(c.name, " ", "-"), func(b *testing.B) {
			for b.Loop() {
				if list := prove(b, v, c.source); len(list) != len(c.kinds) || list[0].Problem != "" {
					b.Fatalf("%+v", list)
				}
			}
		})
	}
}
