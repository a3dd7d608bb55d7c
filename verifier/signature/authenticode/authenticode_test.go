package authenticode_test

import (
	"bytes"
	"encoding/asn1"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/authenticode"
	"github.com/countersign-escrow/countersign/verifier/signature/cms/cmstest"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
	"github.com/countersign-escrow/countersign/verifier/stocktest"
)

func write(t testing.TB, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program.exe")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// sign signs a program with stock osslsigncode.
func sign(t testing.TB, b []byte, by *cmstest.Holder, options ...string) []byte {
	t.Helper()
	cert, key, above := by.Files(t)
	out := filepath.Join(t.TempDir(), "signed.exe")
	args := append([]string{"sign", "-certs", cert, "-key", key, "-ac", above, "-in", write(t, b), "-out", out}, options...)
	if text, err := exec.CommandContext(t.Context(), "osslsigncode", args...).CombinedOutput(); err != nil {
		t.Fatalf("osslsigncode: %v: %s", err, text)
	}
	signed, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// stock says whether osslsigncode takes a program.
func stock(t *testing.T, b []byte, root *cmstest.Holder) bool {
	t.Helper()
	ca, _, _ := root.Files(t)
	text, err := exec.CommandContext(t.Context(), "osslsigncode", "verify", "-in", write(t, b), "-CAfile", ca).CombinedOutput()
	if err != nil {
		t.Logf("osslsigncode: %v: %.200s", err, text[max(0, len(text)-200):])
	}
	return err == nil
}

func proveAll(t *testing.T, b []byte, anchors ...anchor.Anchor) []proof.Proof {
	t.Helper()
	v, err := authenticode.New(anchors)
	if err != nil {
		t.Fatal(err)
	}
	list, err := v.Prove(t.Context(), proof.Bytes(proof.Artifact, "program.exe", b))
	if err != nil || len(list) == 0 {
		t.Fatalf("%+v, %v", list, err)
	}
	return list
}

func good(list []proof.Proof) bool {
	return !slices.ContainsFunc(list, func(p proof.Proof) bool { return p.Problem != "" || len(p.Anchors) == 0 })
}

func TestSigned(t *testing.T) {
	stocktest.Need(t, "osslsigncode")
	root := cmstest.Root(t, "CA", cmstest.RSA(t, 2048))
	middle := root.Authority(t, "Middle", cmstest.RSA(t, 2048))
	signer := middle.Issue(t, "Vendor", cmstest.RSA(t, 2048), cmstest.Code)
	a := cmstest.Anchor(t, "a", "Vendor", root)
	for name, c := range map[string]struct {
		program []byte
		options []string
		weak    []proof.Weakness
	}{
		"PE32":          {program(false, 1000), []string{"-h", "sha256"}, nil},
		"PE32+":         {program(true, 70000), []string{"-h", "sha256"}, nil},
		"odd length":    {program(true, 512)[:1021], []string{"-h", "sha256"}, nil},
		"SHA-384":       {program(true, 1000), []string{"-h", "sha384"}, nil},
		"SHA-1":         {program(true, 1000), []string{"-h", "sha1"}, []proof.Weakness{proof.SHA1}},
		"page hashes":   {program(true, 9000), []string{"-h", "sha256", "-ph"}, nil},
		"with checksum": {program(true, 9000), []string{"-h", "sha256", "-comm"}, nil},
	} {
		if name == "odd length" { // data behind the section, as installers have it
			c.program = append(program(true, 512), "odd"...)
		}
		signed := sign(t, c.program, signer, c.options...)
		list := proveAll(t, signed, a)
		if len(list) != 1 || !good(list) || !slices.Equal(list[0].Weak, c.weak) || !strings.Contains(list[0].Scope, "less its signature") {
			t.Errorf("%s: %+v", name, list)
		}
		if !stock(t, signed, root) {
			t.Errorf("%s: osslsigncode does not take it", name)
		}
	}
}

// TestTampered changes signed programs in every part and holds our word against osslsigncode's: what it refuses is refused here.
func TestTampered(t *testing.T) {
	stocktest.Need(t, "osslsigncode")
	root := cmstest.Root(t, "CA", cmstest.RSA(t, 2048))
	a := cmstest.Anchor(t, "a", "Vendor", root)
	signed := sign(t, program(true, 2000), root.Issue(t, "Vendor", cmstest.RSA(t, 2048), cmstest.Code), "-h", "sha256")
	directory, offset, size := tableAt(signed)
	for _, at := range []int{3, 0x86, 0xa0, 0x98 + 64, directory, directory + 1, directory + 4, directory + 8, 0x210, offset - 1, offset, offset + 4, offset + 6,
		offset + 8, offset + 60, offset + 100, offset + size/2, offset + size - 60} {
		changed := bytes.Clone(signed)
		changed[at] ^= 0x10
		ours, theirs := good(proveAll(t, changed, a)), stock(t, changed, root)
		if ours && !theirs {
			t.Errorf("byte %d: good here, and osslsigncode refuses it", at)
		}
		checksum := at >= 0x98+64 && at < 0x98+68
		if ours != checksum {
			t.Errorf("byte %d (checksum %v): good is %v", at, checksum, ours)
		}
	}
}

func TestOutsideTheHash(t *testing.T) {
	stocktest.Need(t, "osslsigncode")
	root := cmstest.Root(t, "CA", cmstest.RSA(t, 2048))
	a := cmstest.Anchor(t, "a", "Vendor", root)
	signed := sign(t, program(false, 2000), root.Issue(t, "Vendor", cmstest.RSA(t, 2048), cmstest.Code), "-h", "sha256")
	directory, offset, size := tableAt(signed)
	grown := func(more []byte, entry bool) []byte {
		b := append(bytes.Clone(signed), more...)
		binary.LittleEndian.PutUint32(b[directory+4:], uint32(size+len(more)))
		if entry {
			binary.LittleEndian.PutUint32(b[offset:], uint32(size+len(more)))
		}
		return b
	}
	section := bytes.Clone(signed)
	binary.LittleEndian.PutUint32(section[0x98+96+16*8+16:], uint32(len(signed)-0x200))
	for name, c := range map[string]struct {
		b    []byte
		want string // "" for good
	}{
		"as signed":              {signed, ""},
		"data behind the table":  {append(bytes.Clone(signed), "evil code"...), "behind the table"},
		"zeros in the entry":     {grown(make([]byte, 16), true), ""},
		"data in the entry":      {grown([]byte("evil code       "), true), "not all zero"},
		"data between entries":   {grown([]byte("evil code       "), false), "entry 2: states"},
		"section in the table":   {section, "section"},
		"cut off":                {signed[:len(signed)-8], "behind the table"},
		"no signature":           {program(false, 2000), "not signed"},
		"no program":             {[]byte("#!/bin/sh\n" + strings.Repeat("#", 100)), "MZ"},
		"empty":                  {nil, "inside its headers"},
		"another type of entry":  {with(signed, offset+6, 1), "of type 1"},
		"table inside the image": {with(signed, directory+1, 0), "certificate table"},
	} {
		list := proveAll(t, c.b, a)
		if good(list) != (c.want == "") || !strings.Contains(list[0].Problem, c.want) {
			t.Errorf("%s: %+v", name, list)
		}
	}
}

func with(b []byte, at int, v byte) []byte {
	b = bytes.Clone(b)
	b[at] = v
	return b
}

func TestNested(t *testing.T) {
	stocktest.Need(t, "osslsigncode")
	root := cmstest.Root(t, "CA", cmstest.RSA(t, 2048))
	one, two := root.Issue(t, "One", cmstest.RSA(t, 2048), cmstest.Code), root.Issue(t, "Two", cmstest.RSA(t, 2048), cmstest.Code)
	b := sign(t, sign(t, program(true, 2000), one, "-h", "sha1"), two, "-h", "sha256", "-nest")
	list := proveAll(t, b, cmstest.Anchor(t, "one", "One", root), cmstest.Anchor(t, "two", "Two", root))
	if len(list) != 2 || !good(list) || list[0].Anchors[0].Name != "one" || list[1].Anchors[0].Name != "two" || len(list[1].Weak) > 0 {
		t.Errorf("%+v", list)
	}
	if !stock(t, b, root) {
		t.Error("osslsigncode does not take it")
	}
	b[0x210] ^= 1
	if list := proveAll(t, b, cmstest.Anchor(t, "two", "Two", root)); len(list) != 2 || list[0].Problem == "" || list[1].Problem == "" {
		t.Errorf("%+v", list)
	}
	for range 16 {
		b = sign(t, b, two, "-h", "sha256", "-nest")
	}
	if list := proveAll(t, b, cmstest.Anchor(t, "two", "Two", root)); len(list) != 17 || !strings.Contains(list[16].Problem, "more than 16") {
		t.Errorf("%d proofs, the last %+v", len(list), list[len(list)-1])
	}
}

func TestStamped(t *testing.T) {
	stocktest.Need(t, "osslsigncode")
	root := cmstest.Root(t, "CA", cmstest.RSA(t, 2048))
	signer := root.Issue(t, "Vendor", cmstest.RSA(t, 2048), cmstest.Code)
	when := time.Now().Add(-10 * time.Minute).UTC().Truncate(time.Second)
	tsa := cmstest.Root(t, "TSA root", cmstest.RSA(t, 2048)).Issue(t, "TSA", cmstest.RSA(t, 2048), cmstest.Stamp)
	b := sign(t, program(true, 2000), signer, "-h", "sha256", "-ts", tsa.Serve(t, when))
	a := cmstest.Anchor(t, "a", "Vendor", root)
	list := proveAll(t, b, a, cmstest.TimeAnchor(t, "clock", tsa.Issuer))
	if !good(list) || len(list[0].Times) != 1 || !list[0].Times[0].At.Equal(when) || list[0].Times[0].Root.Name != "clock" {
		t.Errorf("%+v", list)
	}
	if list := proveAll(t, b, a); !good(list) || len(list[0].Times) != 0 || len(list[0].Notes) != 1 {
		t.Errorf("without an anchor for time stamps: %+v", list)
	}
}

// A certificate for lifetime signing ends with its signatures, whatever stamps say.
func TestLifetimeSigning(t *testing.T) {
	stocktest.Need(t, "osslsigncode")
	root := cmstest.Root(t, "CA", cmstest.RSA(t, 2048))
	lifetime := func(c *cmstest.Template) {
		c.UnknownExtKeyUsage = append(c.UnknownExtKeyUsage, asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 10, 3, 13})
	}
	signer := root.Issue(t, "Vendor", cmstest.RSA(t, 2048), cmstest.Code, lifetime)
	tsa := cmstest.Root(t, "TSA root", cmstest.RSA(t, 2048)).Issue(t, "TSA", cmstest.RSA(t, 2048), cmstest.Stamp)
	b := sign(t, program(true, 2000), signer, "-h", "sha256", "-ts", tsa.Serve(t, time.Now()))
	list := proveAll(t, b, cmstest.Anchor(t, "a", "Vendor", root), cmstest.TimeAnchor(t, "clock", tsa.Issuer))
	if !good(list) || len(list[0].Times) != 0 || !strings.Contains(strings.Join(list[0].Notes, " "), "lifetime signing") {
		t.Errorf("%+v", list)
	}
}

func TestWrongUse(t *testing.T) {
	stocktest.Need(t, "osslsigncode")
	root := cmstest.Root(t, "CA", cmstest.RSA(t, 2048))
	for name, change := range map[string]cmstest.Change{"mail": cmstest.Mail, "none": func(*cmstest.Template) {}} {
		list := proveAll(t, sign(t, program(true, 99), root.Issue(t, "Vendor", cmstest.RSA(t, 2048), change)), cmstest.Anchor(t, "a", "Vendor", root))
		if good(list) || !strings.Contains(list[0].Problem, "code signing") {
			t.Errorf("%s: %+v", name, list)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	stocktest.Need(b, "osslsigncode")
	root := cmstest.Root(b, "CA", cmstest.RSA(b, 2048))
	const size = 16 << 20
	signed := sign(b, program(true, size), root.Issue(b, "Vendor", cmstest.RSA(b, 2048), cmstest.Code), "-h", "sha256")
	v, err := authenticode.New([]anchor.Anchor{cmstest.Anchor(b, "a", "Vendor", root)})
	if err != nil {
		b.Fatal(err)
	}
	file := proof.Bytes(proof.Artifact, "program.exe", signed)
	b.SetBytes(size)
	for b.Loop() {
		if list, err := v.Prove(b.Context(), file); err != nil || list[0].Problem != "" {
			b.Fatal(list, err)
		}
	}
}

func FuzzPE(f *testing.F) {
	f.Add(program(true, 100))
	f.Add(program(false, 100))
	if _, err := exec.LookPath("osslsigncode"); err == nil {
		root := cmstest.Root(f, "CA", cmstest.EC(f))
		f.Add(sign(f, program(true, 100), root.Issue(f, "Vendor", cmstest.EC(f), cmstest.Code), "-h", "sha256"))
	}
	v, err := authenticode.New([]anchor.Anchor{cmstest.Anchor(f, "a", "nobody", cmstest.Root(f, "Other", cmstest.EC(f)))})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		file := proof.Bytes(proof.Artifact, "f", b)
		if _, err := authenticode.Present(t.Context(), file); err != nil {
			t.Fatal(err)
		}
		list, err := v.Prove(t.Context(), file)
		if err != nil || len(list) == 0 {
			t.Fatalf("%+v, %v", list, err)
		}
		for _, p := range list {
			if p.Problem == "" || len(p.Anchors) > 0 || len(p.Problem) > 500 {
				t.Errorf("%+v", p)
			}
		}
	})
}
