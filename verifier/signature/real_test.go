package signature_test

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/verifier/signature"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// sourcePackage is a source package of Debian: what an author released, with the author's signature, and the list by which a packager
// signed that.
type sourcePackage struct {
	file             proof.File
	signature        []byte // the author's over it, armoured
	list             []byte // the .dsc, clear-signed
	author, packager []byte // their certificates
}

func readSourcePackage(t *testing.T, folder string) sourcePackage {
	t.Helper()
	sig := only(t, folder, "*.orig.tar.*.asc")
	name := filepath.Base(strings.TrimSuffix(sig, ".asc"))
	return sourcePackage{
		file: proof.Bytes(proof.Source, name, read(t, folder, name)), signature: read(t, sig), list: read(t, only(t, folder, "*.dsc")),
		author: read(t, folder, "author.asc"), packager: read(t, folder, "packager.asc"),
	}
}

// TestSourcePackages holds us against what the authors of free software and those who package it for Debian signed.
func TestSourcePackages(t *testing.T) {
	const obsolete = "of version 3"
	for _, c := range []struct {
		name    string
		fetched bool      // or checked in
		at      time.Time // the deposit: all of it was signed by then
		author  string    // why the author's signature does not count; "" where it does
		expired time.Time // when the author's key had expired; zero for never
	}{
		{"stdsyslog_0.03.3-4", false, date(2020, 6, 1), "", time.Time{}},
		{"resolvconf-admin_0.3-1", false, date(2017, 11, 15), "", date(2018, 1, 1)},
		{"rsakeyfind_1.0-8", false, date(2021, 7, 1), obsolete, time.Time{}},
		{"hello_2.10-3", true, date(2023, 1, 15), "", time.Time{}},
		{"gzip_1.12-1", true, date(2022, 5, 1), "", time.Time{}},
		{"libassuan_2.5.5-5", true, date(2022, 12, 1), "", date(2031, 1, 1)},
		{"libgpg-error_1.46-1", true, date(2022, 12, 1), "", date(2031, 1, 1)},
		{"newmail_0.5-4", true, date(2022, 12, 1), obsolete, time.Time{}},
		{"chaos-marmosets_0.1.1-1", true, date(2021, 9, 1), "expired at 2018-12-08", time.Time{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			folder := filepath.Join("testdata", "debian", c.name)
			if c.fetched {
				folder = realThing(t, "debian", c.name)
			}
			p := readSourcePackage(t, folder)
			d := deposit{at: c.at, file: p.file, anchors: []anchor.Anchor{keyring("author", p.author)}}
			if c.author == "" {
				p.goodByAuthor(t, d)
				p.badByAuthor(t, d)
			} else {
				fails(t, p.byAuthor(d).check(t)[0], c.author)
			}
			if !c.expired.IsZero() {
				d.at = c.expired
				fails(t, p.byAuthor(d).check(t)[0], "expired at")
			}
			p.byPackager(t, deposit{at: c.at, file: p.file, anchors: []anchor.Anchor{keyring("packager", p.packager)}})
		})
	}
}

// byAuthor has the author's signature in a deposit.
func (p sourcePackage) byAuthor(d deposit) deposit {
	d.sigs = []signature.Signature{d.over("file.asc", p.signature)}
	return d
}

func (p sourcePackage) goodByAuthor(t *testing.T, d deposit) {
	e := p.byAuthor(d).check(t)
	counts(t, e[0], "author", p.file)
	if len(e) != 1 || e[0].Kind != "openpgp" || e[0].Claimed == "" || e[0].Time != d.at.Format(time.RFC3339) || !strings.HasPrefix(e[0].TimeBy, "the deposit") {
		t.Errorf("%+v", e)
	}
	d.sigs = []signature.Signature{d.over("file.sig", dearmour(t, p.signature))}
	counts(t, d.check(t)[0], "author", p.file)
}

// badByAuthor changes what makes the author's signature good, one by one.
func (p sourcePackage) badByAuthor(t *testing.T, good deposit) {
	made := good.anchors[0]
	stranger := keyring("stranger", read(t, "testdata", "debian", "resolvconf-admin_0.3-1", "author.asc"))
	if bytes.Equal(p.author, []byte(stranger.Material)) {
		stranger = keyring("stranger", read(t, "testdata", "debian", "stdsyslog_0.03.3-4", "author.asc"))
	}
	ended := func(change func(*anchor.Anchor)) func(*deposit) {
		return func(d *deposit) {
			a := made
			change(&a)
			d.anchors = []anchor.Anchor{a}
		}
	}
	binary := dearmour(t, p.signature)
	with := func(content []byte) func(*deposit) {
		return func(d *deposit) { d.sigs = []signature.Signature{d.over("file.asc", content)} }
	}
	for name, c := range map[string]struct {
		change func(*deposit)
		words  string
	}{
		"first bit of the file":      {func(d *deposit) { *d = p.byAuthor(deposit{at: d.at, anchors: d.anchors, file: flipped(t, p.file, 0)}) }, "is not by the key"},
		"last bit of the file":       {func(d *deposit) { *d = p.byAuthor(deposit{at: d.at, anchors: d.anchors, file: flipped(t, p.file, -1)}) }, "is not by the key"},
		"last bit of the signature":  {with(flip(binary, -1)), "is not by the key"},
		"first half of the binary":   {with(binary[:len(binary)/2]), "cannot be read"},
		"first half of the armour":   {with(p.signature[:len(p.signature)/2]), "cannot be read"},
		"somebody else's":            {func(d *deposit) { d.anchors = []anchor.Anchor{stranger} }, "trust anchor"},
		"an anchor that had ended":   {ended(until(good.at)), "counted only until"},
		"a revoked anchor":           {ended(revoked(good.at)), "was revoked at"},
		"a compromised anchor":       {ended(compromised(good.at.AddDate(1, 0, 0))), "is compromised"},
		"an anchor for programs":     {ended(func(a *anchor.Anchor) { a.Purpose = anchor.Artifact }), "purpose ARTIFACT"},
		"a deposit before it":        {func(d *deposit) { d.at = date(2007, 1, 1) }, "claims to have been made at"},
		"taken for the manifest's":   {func(d *deposit) { d.sigs[0].Subject = signature.Signature{}.Subject }, "is not by the key"},
		"as if over a list of files": {func(d *deposit) { d.sigs[0].List, d.sigs[0].ListName = []byte("x"), "SHA256SUMS" }, "is not by the key"},
	} {
		t.Run(name, func(t *testing.T) {
			d := p.byAuthor(good)
			c.change(&d)
			for _, e := range d.check(t) {
				fails(t, e, c.words)
			}
		})
	}
}

// byPackager holds the signed list of the package against the file.
func (p sourcePackage) byPackager(t *testing.T, d deposit) {
	listed := func(content []byte) deposit {
		d := d
		d.sigs = []signature.Signature{{Name: "list.dsc", MediaType: pgpClearsigned, Content: content}}
		return d
	}
	counts(t, listed(p.list).check(t)[0], "packager", p.file)

	changed := listed(p.list)
	changed.file = flipped(t, p.file, -1)
	fails(t, changed.check(t)[0], "names no file of the release with its checksum")

	renamed := listed(p.list)
	renamed.file.Name = "another-" + renamed.file.Name
	fails(t, renamed.check(t)[0], "under another name")

	sum := bytes.Index(p.list, []byte("Checksums-Sha256")) + 20
	fails(t, listed(flip(p.list, sum)).check(t)[0], "is not by the key")
	fails(t, listed(p.list[:len(p.list)*3/4]).check(t)[0], "cannot be read")

	around := bytes.Join([][]byte{[]byte("What stands before"), p.list}, []byte("\n"))
	if e := listed(around).check(t)[0]; e.Valid && len(e.Notes) == 0 {
		t.Errorf("text outside the signed part is not reported: %+v", e)
	}
}
