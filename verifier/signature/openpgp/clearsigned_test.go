package openpgp

import (
	"bytes"
	"crypto"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	pgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/countersign-escrow/countersign/verifier/signature/signaturetest"
)

func TestClearsignedText(t *testing.T) {
	e := newKey(t, "clear", ed25519v6) // writes no Hash header
	ring := holding("clear", export(t, e))
	for name, c := range map[string]struct{ text, want string }{
		"dashes":        {"- one\n-----BEGIN PGP SIGNED MESSAGE-----\n--\n", "- one\n-----BEGIN PGP SIGNED MESSAGE-----\n--\n"},
		"no last end":   {"a\nb", "a\nb\n"},
		"white space":   {"a \t\nb\t\n", "a\nb\n"},
		"Windows":       {"a\r\nb\r\n", "a\nb\n"},
		"blank lines":   {"\n\na\n\n\n", "\n\na\n\n\n"},
		"looks like it": {"Hash: MD5\n\nComment: x\n", "Hash: MD5\n\nComment: x\n"},
		"nothing":       {"", "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			p := proveOne(t, []byte(clearSign(t, e, c.text)), nil, ring)
			wantGood(t, p)
			if p.Signed == nil || string(p.Signed.Content) != c.want || p.Signed.MediaType != "" {
				t.Errorf("%+v, want %q", p.Signed, c.want)
			}
		})
	}
}

func TestRefusedTexts(t *testing.T) {
	e := newKey(t, "clear", ed25519v4)
	ring, content := holding("clear", export(t, e)), clearSign(t, e, "one\ntwo\n")
	begins, signature := strings.Index(content, "one"), strings.Index(content, beginSignature)
	binary := wrap(t, "PGP SIGNATURE", sign(t, e, []byte("one\r\ntwo"), packet.Config{}))
	for name, c := range map[string]struct{ content, reason string }{
		"changed":            {strings.Replace(content, "one", "0ne", 1), "one of them was changed"},
		"a line more":        {content[:begins] + "zero\n" + content[begins:], "one of them was changed"},
		"a header's line":    {strings.Replace(content, "\n\none", "\n  \nzero\n\none", 1), "one of them was changed"},
		"another's text":     {clearSign(t, newKey(t, "x", ed25519v4), "one\n"), "no trust anchor"},
		"two texts":          {content + content, "a second one begins"},
		"one in another":     {content[:begins] + "-----BEGIN PGP SIGNED MESSAGE-----\n" + content[begins:], "a second one begins"},
		"one that is none":   {"-----BEGIN PGP SIGNED MESSAGE----- \n\nzero\n" + content, "white space follows its BEGIN line"},
		"a dash":             {content[:begins] + "-one\n" + content[begins:], "a dash that is not escaped"},
		"a broken end":       {content[:signature] + beginSignature + " \n" + content[signature:], "a dash that is not escaped"},
		"no signature":       {content[:signature], "it has no signature"},
		"half a signature":   {content[:signature+80], "cut off"},
		"another header":     {strings.Replace(content, "Hash: ", "Charset: ", 1), "a header other than Hash"},
		"text as a header":   {strings.Replace(content, "Hash: SHA512", "Hash: SHA512\nPay Mallory", 1), "a header other than Hash"},
		"another hash":       {strings.Replace(content, "SHA512", "SHA256", 1), `the header says that the hash is "SHA256", the signature is by SHA512`},
		"a binary signature": {content[:signature] + binary, "not one of a text"},
		"a key inside":       {content[:signature] + strings.Replace(binary, "-----BEGIN", export(t, e)+"-----BEGIN", 1), "dash that is not escaped"},
	} {
		t.Run(name, func(t *testing.T) { wantProblem(t, proveOne(t, []byte(c.content), nil, ring), c.reason) })
	}
}

func TestClearsignedByTwo(t *testing.T) {
	a, b := newKey(t, "a", ed25519v4), newKey(t, "b", p256)
	var out bytes.Buffer
	w, err := clearsign.EncodeMulti(&out, []*packet.PrivateKey{a.PrivateKey, b.PrivateKey}, &packet.Config{Time: at(born)})
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte("text\n"))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	list := proveAll(t, out.Bytes(), nil, holding("b", export(t, b)))
	if len(list) != 2 {
		t.Fatalf("%+v", list)
	}
	wantProblem(t, list[0], "no trust anchor")
	wantGood(t, list[1])
}

// TestSuiteText holds a text signature over a file to the promises, too.
func TestSuiteText(t *testing.T) {
	e := newKey(t, "text", rsa4096)
	var out bytes.Buffer
	c := &packet.Config{DefaultHash: crypto.SHA256, Time: at(born.Add(time.Hour))}
	if err := pgp.DetachSignWithParams(&out, []*pgp.Entity{e}, bytes.NewReader(document), &pgp.SignParams{TextSig: true, Config: c}); err != nil {
		t.Fatal(err)
	}
	n := out.Len()
	signaturetest.Run(t, signaturetest.Case{New: open, Signer: holding("text", export(t, e)), Stranger: holding("x", export(t, newKey(t, "x", p256))),
		Content: out.Bytes(), Signed: document, Bytes: []int{n - 300, n - 30, n - 1}})
}
