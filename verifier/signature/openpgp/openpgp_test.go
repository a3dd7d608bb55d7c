package openpgp

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	pgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/signaturetest"
)

func open(anchors []anchor.Anchor) (signaturetest.Prover, error) { return New(anchors) }

var document = []byte("the first line\nthe second \n- the last\n")

func TestSuite(t *testing.T) {
	stranger := holding("stranger", export(t, newKey(t, "stranger", p256)))
	for name, c := range map[string]packet.Config{"rsa4096": rsa4096, "ed25519": ed25519v4, "v6": ed25519v6, "p256": p256} {
		e := newKey(t, name, c)
		one := signaturetest.Case{New: open, Signer: holding(name, export(t, e)), Stranger: stranger, Signed: document}
		t.Run(name+" binary", func(t *testing.T) {
			one.Content = sign(t, e, document, packet.Config{})
			n := len(one.Content)
			one.Bytes = []int{n - 60, n - 40, n - 20, n - 1}
			signaturetest.Run(t, one)
		})
		t.Run(name+" armoured", func(t *testing.T) {
			one.Content = []byte(wrap(t, "PGP SIGNATURE", sign(t, e, document, packet.Config{})))
			tail := bytes.Index(one.Content, []byte("\n-----END"))
			tail = bytes.LastIndexByte(one.Content[:tail], '\n') // before the checksum
			one.Bytes = []int{tail - 60, tail - 40, tail - 12}
			signaturetest.Run(t, one)
		})
	}
}

func TestSuiteClearsigned(t *testing.T) {
	e := newKey(t, "clear", ed25519v4)
	content := clearSign(t, e, string(document))
	in := strings.Index(content, "first")
	tail := strings.LastIndex(content[:strings.Index(content, "\n-----END")], "\n")
	if tail < strings.Index(content, "BEGIN PGP SIGNATURE")+60 {
		tail = strings.Index(content, "\n-----END")
	}
	signaturetest.Run(t, signaturetest.Case{New: open, Signer: holding("clear", export(t, e)),
		Stranger: holding("stranger", export(t, newKey(t, "stranger", p256))), Content: []byte(content), Bytes: []int{in, in + 2, tail - 40, tail - 20}})
}

func TestFacts(t *testing.T) {
	e := newKey(t, "Facts", packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, KeyLifetimeSecs: 86400 * 30})
	p := proveOne(t, sign(t, e, document, packet.Config{SigLifetimeSecs: 86400}), document, holding("a", export(t, e)))
	wantGood(t, p)
	id := strings.ToUpper(fingerprint(e))
	if p.KeyID != id || p.Signer != "Facts <Facts@example.org>, "+id || p.Scope != "the file" || p.Kind != Kind {
		t.Errorf("%+v", p)
	}
	if !p.Claim.Equal(born.Add(time.Hour)) || !p.Life.From.Equal(born) || !p.Life.Until.Equal(born.Add(25*time.Hour)) {
		t.Errorf("%v, %+v; want the signature's own end, which comes before the key's", p.Claim, p.Life)
	}
	p = proveOne(t, sign(t, e, document, packet.Config{}), document, holding("a", export(t, e)))
	if !p.Life.Until.Equal(born.Add(30*24*time.Hour)) || len(p.Weak) > 0 || len(p.Notes) > 0 {
		t.Errorf("%+v, want the key's end", p)
	}
}

func fingerprint(e *pgp.Entity) string { return (&key{public: e.PrimaryKey}).id() }

func TestSeveralSignatures(t *testing.T) {
	a, b, c := newKey(t, "a", ed25519v4), newKey(t, "b", ed25519v6), newKey(t, "c", p256)
	one, two, three := sign(t, a, document, packet.Config{}), sign(t, b, document, packet.Config{}), sign(t, c, []byte("other"), packet.Config{})
	anchors := []anchor.Anchor{holding("a", export(t, a)), holding("b and c", export(t, b), export(t, c))}
	together := bytes.Join([][]byte{one, two, three}, nil)
	armoured := wrap(t, "PGP SIGNATURE", one) + "text between\n" + wrap(t, "PGP SIGNATURE", bytes.Join([][]byte{two, three}, nil))
	for _, content := range [][]byte{together, []byte(armoured)} {
		list := proveAll(t, content, document, anchors...)
		if len(list) != 3 {
			t.Fatalf("%+v", list)
		}
		wantGood(t, list[0])
		wantGood(t, list[1])
		wantProblem(t, list[2], "one of them was changed, or it is over another file")
	}
	wantProblem(t, proveOne(t, bytes.Repeat(one, maxSignatures+1), document, anchors...), "more than 16")
	if list := proveAll(t, bytes.Repeat(one, maxSignatures), document, anchors...); len(list) != maxSignatures {
		t.Errorf("%d", len(list))
	}
}

func TestRefusedSignatures(t *testing.T) {
	e := newKey(t, "e", ed25519v4)
	good, ring := sign(t, e, document, packet.Config{}), holding("e", export(t, e))
	changed := func(at int, to byte) []byte { // at counts from the packet's content, after a header of two bytes
		b := bytes.Clone(good)
		b[2+at] = to
		return b
	}
	var public bytes.Buffer
	if err := e.Serialize(&public); err != nil {
		t.Fatal(err)
	}
	critical := sign(t, e, document, packet.Config{SignatureNotations: []*packet.Notation{{Name: "odd@example.org", IsCritical: true}}})
	for name, c := range map[string]struct {
		content []byte
		reason  string
	}{
		"version 3":         {changed(0, 3), "version 3, which is obsolete"},
		"version 5":         {changed(0, 5), "version 5, which is not supported"},
		"MD5":               {changed(3, 1), "by MD5, which is broken"},
		"RIPEMD-160":        {changed(3, 3), "by RIPEMD-160, which is broken"},
		"unknown hash":      {changed(3, 99), "cannot be read"},
		"over a key":        {changed(1, 0x10), "type 0x10, which is none over a file"},
		"timestamp":         {changed(1, 0x40), "type 0x40, which is none over a file"},
		"critical notation": {critical, "odd@example.org"},
		"key beside it":     {append(bytes.Clone(good), public.Bytes()...), "packet of type 6"},
		"key in armour":     {[]byte(wrap(t, "PGP SIGNATURE", good) + export(t, e)), "a key among them would prove nothing"},
		"no armour's end":   {[]byte(wrap(t, "PGP SIGNATURE", good)[:200]), "cut off"},
		"too long":          {make([]byte, MaxBytes+1), "at most"},
		"before its key":    {sign(t, older(t, e), document, packet.Config{Time: at(born.Add(-time.Hour))}), "before the key"},
	} {
		t.Run(name, func(t *testing.T) { wantProblem(t, proveOne(t, c.content, document, ring), c.reason) })
	}
}

// older returns a key that signs at any time; its certificate is not to be shown.
func older(t *testing.T, e *pgp.Entity) *pgp.Entity {
	t.Helper()
	o, err := pgp.NewEntity("o", "", "", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Time: at(born.Add(-24 * time.Hour))})
	if err != nil {
		t.Fatal(err)
	}
	o.PrivateKey, o.Subkeys = e.PrivateKey, nil
	return o
}

func TestTimeAnchorsSignNothing(t *testing.T) {
	e := newKey(t, "e", ed25519v4)
	a := holding("e", export(t, e))
	a.Purpose = anchor.Time
	wantProblem(t, proveOne(t, sign(t, e, document, packet.Config{}), document, a), "no trust anchor")
}

func TestDetect(t *testing.T) {
	e := newKey(t, "e", ed25519v4)
	binary := sign(t, e, document, packet.Config{})
	obsolete := bytes.Clone(binary)
	obsolete[2] = 3
	for name, c := range map[string]struct {
		content     []byte
		is, isClear bool
	}{
		"binary":   {binary, true, false},
		"armoured": {[]byte(wrap(t, "PGP SIGNATURE", binary)), true, false},
		"obsolete": {append([]byte{0x88, 19, 3, 5, 0}, make([]byte, 16)...), true, false},
		"clear":    {[]byte(clearSign(t, e, "text\n")), false, true},
		"key":      {[]byte(export(t, e)), false, false},
		"json":     {[]byte(`{"mediaType": "x"}`), false, false},
		"text":     {document, false, false},
		"nothing":  {nil, false, false},
		"noise":    {[]byte{0x88, 0x88, 0x88, 0x88}, false, false},
	} {
		if is, isClear := DetectSignature(c.content), DetectClearsigned(c.content); is != c.is || isClear != c.isClear {
			t.Errorf("%s: %v, %v", name, is, isClear)
		}
	}
}

func TestDescribe(t *testing.T) {
	a, b := newKey(t, "a", ed25519v4), newKey(t, "b\x1b[31m", ed25519v6)
	text, err := Describe(holding("one", export(t, a)))
	if want := "OpenPGP certificate " + fingerprint(a) + " a <a@example.org>"; err != nil || text != want {
		t.Errorf("%q, %v; want %q", text, err, want)
	}
	text, err = Describe(holding("three", export(t, a), export(t, b), export(t, newKey(t, "c", p256))))
	if err != nil || !strings.HasPrefix(text, "3 OpenPGP certificates: "+fingerprint(a)) || len(text) >= 200 || strings.ContainsRune(text, 0x1b) {
		t.Errorf("%q, %v", text, err)
	}
	if text, err := Describe(holding("none", "nothing")); err == nil {
		t.Error(text)
	}
}
