package signature_test

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

const (
	vendorAuthority = "code-signing-pca-2011.pem"
	stampAuthority  = "time-stamp-pca-2010.pem"
)

// authority makes an anchor of a certificate authority's certificate.
func authority(t *testing.T, name, file, subject string, purpose anchor.Purpose) anchor.Anchor {
	t.Helper()
	c := anchor.Certificates{PEM: string(read(t, "testdata", "authenticode", file))}
	if subject != "" {
		c.Subject = anchor.Name{Exact: subject}
	}
	material, err := anchor.Material(c)
	if err != nil {
		t.Fatal(err)
	}
	return named(name)(anchor.X509, purpose, material)
}

// program is a release with a program that a large vendor signed and stamped, by a certificate that has expired since.
func program(t *testing.T) deposit {
	t.Helper()
	name := realThing(t, "npm", "node-pty@1.1.0", "OpenConsole.exe")
	return deposit{at: date(2026, 11, 1), file: proof.Bytes(proof.Artifact, filepath.Base(name), read(t, name)), anchors: []anchor.Anchor{
		authority(t, "vendor", vendorAuthority, "Microsoft Corporation", anchor.Artifact),
		authority(t, "stamps", stampAuthority, "", anchor.Time),
	}}
}

// TestProgram holds us against a signed program that is shipped to many.
func TestProgram(t *testing.T) {
	d := program(t)
	list := d.check(t)
	if len(list) != 1 {
		t.Fatalf("%+v", list)
	}
	counts(t, list[0], "vendor", d.file)
	if e := list[0]; e.Kind != "authenticode" || e.Time != "2025-10-09T02:14:16Z" || !strings.Contains(e.TimeBy, "Microsoft Time-Stamp") || !strings.Contains(e.Signer, "Microsoft Corporation") {
		t.Errorf("%+v", e)
	}
	inLife := program(t)
	inLife.at, inLife.anchors = date(2026, 1, 1), inLife.anchors[:1]
	counts(t, inLife.check(t)[0], "vendor", d.file)
}

func TestProgramSpoilt(t *testing.T) {
	later := program(t)
	later.anchors[0].Revoked = later.at.AddDate(0, -1, 0)
	counts(t, later.check(t)[0], "vendor", later.file) // revoked after the stamp

	stamped := date(2025, 10, 9)
	cut := func(d *deposit, change func([]byte) []byte) {
		b, err := d.file.All(t.Context(), d.file.Size)
		if err != nil {
			t.Fatal(err)
		}
		d.file = proof.Bytes(d.file.Role, d.file.Name, change(bytes.Clone(b)))
	}
	for name, c := range map[string]struct {
		change func(*deposit)
		words  string
	}{
		"one bit of the image":         {func(d *deposit) { d.file = flipped(t, d.file, int(d.file.Size)/2) }, "changed after it was signed"},
		"one bit of the signature":     {func(d *deposit) { cut(d, flipBehind(t, signatureValue)) }, "is not by the key"},
		"one bit of the certificate":   {func(d *deposit) { cut(d, flipBehind(t, []byte("Microsoft Corporation1"))) }, "neither in it nor in a trust anchor"},
		"one bit of the stamp":         {func(d *deposit) { cut(d, flipBehind(t, stampedBy)) }, "expired at 2026-06-17"},
		"the signature's end cut off":  {func(d *deposit) { cut(d, func(b []byte) []byte { return b[:len(b)-1000] }) }, "certificate table"},
		"no authority of time stamps":  {func(d *deposit) { d.anchors = d.anchors[:1] }, "expired at 2026-06-17"},
		"one that was revoked by then": {func(d *deposit) { d.anchors[1].Revoked = stamped.Add(-24 * time.Hour) }, "expired at 2026-06-17"},
		"one that is compromised":      {func(d *deposit) { d.anchors[1].Revoked, d.anchors[1].Compromised = d.at, true }, "expired at 2026-06-17"},
		"another subject":              {func(d *deposit) { d.anchors[0] = authority(t, "vendor", vendorAuthority, "Acme", anchor.Artifact) }, "trust anchor"},
		"another authority": {func(d *deposit) {
			d.anchors[0] = authority(t, "vendor", stampAuthority, "Microsoft Corporation", anchor.Artifact)
		}, "trust anchor"},
		"an authority of stamps only": {func(d *deposit) { d.anchors[0].Purpose = anchor.Time }, "trust anchor"},
		"revoked before the stamp":    {func(d *deposit) { d.anchors[0].Revoked = stamped.Add(-24 * time.Hour) }, "was revoked at"},
		"compromised":                 {func(d *deposit) { d.anchors[0].Revoked, d.anchors[0].Compromised = d.at, true }, "is compromised"},
		"for sources":                 {func(d *deposit) { d.anchors[0].Purpose = anchor.Source }, "purpose SOURCE"},
	} {
		t.Run(name, func(t *testing.T) {
			d := program(t)
			c.change(&d)
			list := d.check(t)
			if len(list) == 0 {
				t.Fatal("the signature is not seen at all")
			}
			for _, e := range list {
				fails(t, e, c.words)
			}
		})
	}
}

// What stands before a signature's bits: the end of the algorithm RSA and the head of 256 bytes; and the type of a stamp's content.
var (
	signatureValue = []byte{0x05, 0x00, 0x04, 0x82, 0x01, 0x00}
	stampedBy      = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, 0x04}
)

// flipBehind changes a bit of the signature in a program, some bytes behind a mark.
func flipBehind(t *testing.T, mark []byte) func([]byte) []byte {
	t.Helper()
	return func(b []byte) []byte {
		const table = 11000 // the signature is in the last bytes of the file
		at := bytes.Index(b[len(b)-table:], mark)
		if at < 0 {
			t.Fatalf("no %x in the signature", mark)
		}
		return flip(b, len(b)-table+at+len(mark)+40)
	}
}
