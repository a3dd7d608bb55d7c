package signature_test

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/countersign-escrow/countersign/verifier/signature"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/gitobject"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// The media types of docs/signatures.md that these tests use.
const (
	pgpSignature   = "application/pgp-signature"
	pgpClearsigned = "application/vnd.countersign.pgp-clearsigned"
)

// realThing returns the place of something that was fetched, and skips the test where it was not.
func realThing(t *testing.T, elements ...string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("no cache folder: %v", err)
	}
	name := filepath.Join(append([]string{cache, "countersign", "real"}, elements...)...)
	if _, err := os.Stat(name); err != nil {
		t.Skipf("%s is not there; make testdata-real fetches it", name)
	}
	return name
}

func read(t *testing.T, elements ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(elements...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// only returns the one file in a folder with such a name.
func only(t *testing.T, folder, pattern string) string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(folder, pattern))
	if err != nil || len(list) != 1 {
		t.Fatalf("%s: %v, %v", pattern, list, err)
	}
	return list[0]
}

func named(name string, change ...func(*anchor.Anchor)) func(kind anchor.Kind, purpose anchor.Purpose, material string) anchor.Anchor {
	return func(kind anchor.Kind, purpose anchor.Purpose, material string) anchor.Anchor {
		a := anchor.Anchor{Name: "organizations/vendor/trustAnchors/" + name, Kind: kind, Purpose: purpose, Material: material}
		for _, c := range change {
			c(&a)
		}
		return a
	}
}

// keyring makes an anchor of an armoured OpenPGP key ring, for sources.
func keyring(name string, material []byte, change ...func(*anchor.Anchor)) anchor.Anchor {
	return named(name, change...)(anchor.OpenPGP, anchor.Source, string(material))
}

func until(at time.Time) func(*anchor.Anchor)   { return func(a *anchor.Anchor) { a.Until = at } }
func revoked(at time.Time) func(*anchor.Anchor) { return func(a *anchor.Anchor) { a.Revoked = at } }
func compromised(at time.Time) func(*anchor.Anchor) {
	return func(a *anchor.Anchor) { a.Revoked, a.Compromised = at, true }
}

func date(year int, month time.Month, day int) time.Time {
	return time.Date(year, month, day, 12, 0, 0, 0, time.UTC)
}

// deposit is a release with one file, signed by others.
type deposit struct {
	at      time.Time
	anchors []anchor.Anchor
	file    proof.File
	sigs    []signature.Signature
	version string // 1, if not given
	git     []gitobject.Source
}

// over makes a signature file over a deposit's file.
func (d deposit) over(name string, content []byte) signature.Signature {
	return signature.Signature{Name: name, MediaType: pgpSignature, Content: content, Subject: d.file.Digest}
}

// check judges it.
func (d deposit) check(t *testing.T) []finding.SignatureEvidence {
	t.Helper()
	name, err := resource.ParseRelease("organizations/vendor/products/thing/releases/" + cmp.Or(d.version, "1"))
	if err != nil {
		t.Fatal(err)
	}
	trust := signature.NewTrust(d.anchors)
	if err := trust.Unreadable(); err != nil {
		t.Fatalf("anchors: %v", err)
	}
	f, err := trust.Check(t.Context(), signature.Release{Name: name, Manifest: []byte("{}"), Files: []proof.File{d.file}, Git: d.git, Signatures: d.sigs,
		Deposited: d.at})
	if err != nil {
		t.Fatal(err)
	}
	if f.Outcome == finding.Passed {
		t.Errorf("passed, and nobody signed the manifest: %s", f.Summary)
	}
	return f.Evidence.Signatures
}

// counts makes sure that a signature counts, by an anchor and for the one file.
func counts(t *testing.T, e finding.SignatureEvidence, by string, file proof.File) {
	t.Helper()
	want := []finding.CoveredFile{{Role: string(file.Role), Name: file.Name, Digest: file.Digest}}
	if !e.Valid || e.Problem != "" || !strings.HasSuffix(e.Anchor, "/"+by) || !slices.Equal(e.Files, want) || e.KeyID == "" {
		t.Errorf("does not count: %+v", e)
	}
}

// fails makes sure that a signature does not count, for a reason with such words.
func fails(t *testing.T, e finding.SignatureEvidence, words string) {
	t.Helper()
	if e.Valid || len(e.Files) > 0 || !strings.Contains(e.Problem+strings.Join(e.Notes, "; "), words) {
		t.Errorf("valid is %v, files %v, problem %q, notes %q; want a problem with %q", e.Valid, e.Files, e.Problem, e.Notes, words)
	}
}

// flip changes one bit.
func flip(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[(at+len(b))%len(b)] ^= 1
	return b
}

// flipped is a file with one bit changed.
func flipped(t *testing.T, f proof.File, at int) proof.File {
	t.Helper()
	b, err := f.All(t.Context(), f.Size)
	if err != nil {
		t.Fatal(err)
	}
	return proof.Bytes(f.Role, f.Name, flip(b, at))
}

// dearmour returns the binary form of an armoured OpenPGP signature.
func dearmour(t *testing.T, armoured []byte) []byte {
	t.Helper()
	_, body, found := strings.Cut(strings.ReplaceAll(string(armoured), "\r", ""), "\n\n")
	body, _, ended := strings.Cut(body, "\n-----END")
	if !found || !ended {
		t.Fatalf("not armoured: %q", armoured)
	}
	if at := strings.LastIndex(body, "\n="); at > 0 {
		body = body[:at]
	}
	b, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(body, "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
