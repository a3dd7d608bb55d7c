package minisign

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"aead.dev/minisign"
	"golang.org/x/crypto/blake2b"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
	"github.com/countersign-escrow/countersign/verifier/signature/signaturetest"
)

var payload = []byte("what is signed\n")

// signer is a key that makes all three forms by the book, with any id.
type signer struct {
	id  uint64
	key ed25519.PrivateKey
}

func newSigner(t testing.TB) signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return signer{binary.LittleEndian.Uint64(key[:8]), key}
}

func (s signer) line(algorithm string, b []byte) string {
	return base64.StdEncoding.EncodeToString(append(binary.LittleEndian.AppendUint64([]byte(algorithm), s.id), b...))
}

func (s signer) public() string {
	return untrusted + "a key\n" + s.line("Ed", s.key[32:]) + "\n"
}

func (s signer) anchor(name string) anchor.Anchor {
	return anchor.Anchor{Name: "organizations/o/trustAnchors/" + name, Kind: anchor.Minisign, Purpose: anchor.Release, Material: s.public()}
}

// sign makes a minisign signature: of the hash with ED, of the content itself with Ed.
func (s signer) sign(algorithm, comment string, content []byte) []byte {
	if algorithm == "ED" {
		sum := blake2b.Sum512(content)
		content = sum[:]
	}
	sig := ed25519.Sign(s.key, content)
	global := ed25519.Sign(s.key, append(bytes.Clone(sig), comment...))
	return fmt.Appendf(nil, "%sof somebody\n%s\n%s%s\n%s\n", untrusted, s.line(algorithm, sig), trusted, comment,
		base64.StdEncoding.EncodeToString(global))
}

func (s signer) signify(content []byte) []byte {
	return fmt.Appendf(nil, "%sverify with key.pub\n%s\n", untrusted, s.line("Ed", ed25519.Sign(s.key, content)))
}

const comment = "timestamp:1700000000\tfile:manifest.json"

func TestPromises(t *testing.T) {
	s := newSigner(t)
	for name, content := range map[string][]byte{"prehashed": s.sign("ED", comment, payload),
		"legacy": s.sign("Ed", comment, payload), "signify": s.signify(payload)} {
		t.Run(name, func(t *testing.T) {
			line := bytes.IndexByte(content, '\n') + 1
			at := []int{line + 3, line + 20, line + 90}
			if name != "signify" {
				text := bytes.Index(content, []byte("1700"))
				at = append(at, text, text+9, text+len("1700000000\tfile:mani"), len(content)-20, len(content)-8)
			}
			signaturetest.Run(t, signaturetest.Case{
				New:    func(a []anchor.Anchor) (signaturetest.Prover, error) { return New(a) },
				Signer: s.anchor("signer"), Stranger: newSigner(t).anchor("stranger"), Content: content, Signed: payload, Bytes: at,
			})
			if Detect(content) == (name == "signify") || DetectSignify(content) != (name == "signify") {
				t.Error("not detected, or as another kind")
			}
		})
	}
}

func prove(t testing.TB, content []byte, of proof.File, anchors ...anchor.Anchor) proof.Proof {
	t.Helper()
	v, err := New(anchors)
	if err != nil {
		t.Fatal(err)
	}
	list, err := v.Prove(t.Context(), content, of)
	if err != nil || len(list) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	return list[0]
}

func file(content []byte) proof.File { return proof.Bytes(proof.Artifact, "file", content) }

func TestProof(t *testing.T) {
	s := newSigner(t)
	s.id = 0xabc
	got := prove(t, s.sign("ED", comment, payload), file(payload), s.anchor("a"))
	if got.Problem != "" || got.Kind != Kind || got.KeyID != "ABC" || got.Claim.Unix() != 1700000000 ||
		len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "manifest.json") {
		t.Errorf("%+v", got)
	}
	if got := prove(t, s.signify(payload), file(payload), s.anchor("a")); got.Problem != "" || got.Kind != KindSignify ||
		len(got.Notes) > 0 || !got.Claim.IsZero() {
		t.Errorf("%+v", got)
	}
	crlf := bytes.ReplaceAll(s.sign("Ed", comment, payload), []byte("\n"), []byte("\r\n"))
	if got := prove(t, crlf, file(payload), s.anchor("a")); got.Problem != "" {
		t.Errorf("carriage returns: %+v", got)
	}
}

func TestClaims(t *testing.T) {
	for comment, want := range map[string]int64{"": 0, "timestamp:": 0, "timestamp:12": 12, "a timestamp:12 timestamp:13": 12,
		"timestamp:-1": 0, "xtimestamp:12": 0,
		"timestamp:253402300800": 0, "timestamp:99999999999999999999": 0, "timestamp:1e3": 0} {
		if got := claim(comment); got.IsZero() != (want == 0) || want != 0 && got.Unix() != want {
			t.Errorf("%q: %s, want %d", comment, got, want)
		}
	}
}

// TestSameID makes sure that an id, which anybody can choose, neither takes a key's place nor makes a signature good.
func TestSameID(t *testing.T) {
	s, other := newSigner(t), newSigner(t)
	other.id = s.id
	content := s.sign("ED", comment, payload)
	got := prove(t, content, file(payload), other.anchor("other"), s.anchor("a"))
	if got.Problem != "" || len(got.Anchors) != 1 || !strings.HasSuffix(got.Anchors[0].Name, "/a") {
		t.Errorf("%+v", got)
	}
	if got := prove(t, content, file(payload), other.anchor("other")); got.Problem == "" || !strings.Contains(got.Problem, "trust anchor") {
		t.Errorf("%+v", got)
	}
}

// TestAlgorithms makes sure that what is over a hash is not taken for what is over a file, nor the other way round.
func TestAlgorithms(t *testing.T) {
	s := newSigner(t)
	sum := blake2b.Sum512(payload)
	overHash := s.sign("Ed", comment, sum[:])
	v, err := parseKey(s.public())
	if err != nil {
		t.Fatal(err)
	}
	r := minisign.NewReader(bytes.NewReader(payload))
	if _, err := new(bytes.Buffer).ReadFrom(r); err != nil || !r.Verify(v.PublicKey, overHash) {
		t.Log("the library tells them apart by now")
	}
	legacy := ed25519.Sign(s.key, payload)
	renamed := bytes.Replace(s.sign("Ed", comment, payload), []byte(s.line("Ed", legacy)), []byte(s.line("ED", legacy)), 1)
	for name, content := range map[string][]byte{"unhashed over the hash": overHash,
		"signify over the hash": s.signify(sum[:]), "called prehashed": renamed} {
		if got := prove(t, content, file(payload), s.anchor("a")); got.Problem == "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestProblems(t *testing.T) {
	s := newSigner(t)
	good, short := s.sign("ED", comment, payload), s.signify(payload)
	lines := bytes.SplitAfter(good, []byte("\n"))
	for name, c := range map[string]struct {
		content []byte
		of      []byte
		want    string
	}{
		"file":               {good, []byte("other"), "the file does not fit"},
		"comment":            {bytes.Replace(good, []byte("1700"), []byte("1800"), 1), payload, "the trusted comment"},
		"no trusted comment": {bytes.Join(lines[:2], nil), payload, "cut off"},
		"more lines":         {append(bytes.Clone(good), "more\n"...), payload, "cannot be read"},
		"line in base64":     {bytes.Join([][]byte{lines[0], lines[1], lines[2], []byte("\n"), lines[3]}, nil), payload, "mean nothing"},
		"embedded":           {append(bytes.Clone(short), payload...), payload, "signify -e"},
		"other algorithm":    {bytes.Replace(good, []byte("\nRU"), []byte("\nQU"), 1), payload, "cannot be read"},
		"a public key":       {[]byte(s.public()), payload, "not a signature"},
		"hostile":            {append(append([]byte(untrusted+"x\n"), lines[1]...), trusted+strings.Repeat("\x1b", 1000)...), payload, "cannot be read"},
	} {
		if got := prove(t, c.content, file(c.of), s.anchor("a")); !strings.Contains(got.Problem, c.want) || len(got.Problem) > 500 {
			t.Errorf("%s: %+v, want %q", name, got, c.want)
		}
	}
	if !DetectSignify(append(bytes.Clone(short), payload...)) || DetectSignify([]byte(s.public())) || Detect([]byte(s.public())) {
		t.Error("an embedded message is to be detected, a public key not")
	}
	hostile := prove(t, s.sign("ED", strings.Repeat("\x1b", 100_000), payload), file(payload), s.anchor("a"))
	if hostile.Problem != "" || len(hostile.Notes[0]) > 500 || strings.Contains(hostile.Notes[0], "\x1b") {
		t.Errorf("%.2000v", hostile)
	}
}

// TestLargeFile makes sure that a file which would be needed in memory is refused unread, with advice, and streamed where its hash is signed.
func TestLargeFile(t *testing.T) {
	s := newSigner(t)
	large := proof.File{Role: proof.Artifact, Name: "f", Size: maxWhole + 1, Open: func(context.Context) (proof.Content, error) { return zeros{}, nil }}
	for _, content := range [][]byte{s.sign("Ed", comment, payload), s.signify(payload)} {
		if got := prove(t, content, large, s.anchor("a")); !strings.Contains(got.Problem, "prehashed") {
			t.Errorf("%+v", got)
		}
	}
	if got := prove(t, s.sign("ED", comment, make([]byte, large.Size)), large, s.anchor("a")); got.Problem != "" {
		t.Errorf("%+v", got)
	}
}

// zeros is an open file of zeros.
type zeros struct{}

func (zeros) ReadAt(b []byte, _ int64) (int, error) { clear(b); return len(b), nil }
func (zeros) Close() error                          { return nil }

func TestKeys(t *testing.T) {
	s := newSigner(t)
	line := s.line("Ed", s.key[32:])
	for text, good := range map[string]bool{
		s.public():                         true,
		line:                               true,
		untrusted + "\r\n" + line + "\r\n": true,
		"":                                 false,
		"a key\n" + line:                   false,
		s.public() + s.public():            false,
		line + "\n" + line:                 false,
		s.line("ED", s.key[32:]):           false,
		s.line("Ed", s.key):                false, // a secret key
		line[:20] + "\r" + line[20:]:       false,
		string(s.signify(payload)):         false,
		untrusted + strings.Repeat("x", 5000) + "\n" + line: false,
	} {
		a := s.anchor("a")
		a.Material = text
		_, err := New([]anchor.Anchor{a})
		if (err == nil) != good || err != nil && !strings.Contains(err.Error(), a.Name) {
			t.Errorf("%q: %v", text, err)
		}
		described, err := Describe(a)
		if (err == nil) != good || good && (!strings.Contains(described, keyID(s.id)) || !strings.Contains(described, line) || len(described) > 200) {
			t.Errorf("%q: %s, %v", text, described, err)
		}
	}
	a := s.anchor("a")
	a.Purpose = anchor.Time
	if got := prove(t, s.signify(payload), file(payload), a); got.Problem == "" {
		t.Errorf("an anchor for time stamps signs: %+v", got)
	}
}

func FuzzSignature(f *testing.F) {
	s := newSigner(f)
	v, err := New([]anchor.Anchor{s.anchor("a")})
	if err != nil {
		f.Fatal(err)
	}
	other := []byte("another file")
	for _, content := range [][]byte{s.sign("ED", comment, other), s.sign("Ed", comment, other), s.signify(other), append(s.signify(other), other...)} {
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		list, err := v.Prove(t.Context(), content, file(payload))
		if err != nil || len(list) != 1 || list[0].Problem == "" || len(list[0].Problem) > 500 {
			t.Fatalf("%+v, %v", list, err)
		}
		if Detect(content) && DetectSignify(content) {
			t.Error("two kinds at once")
		}
	})
}

func FuzzPublicKey(f *testing.F) {
	s := newSigner(f)
	f.Add(s.public())
	f.Add(s.line("Ed", s.key[32:]))
	f.Fuzz(func(t *testing.T, text string) {
		k, err := parseKey(text)
		if err == nil && (len(k.raw) != ed25519.PublicKeySize || !strings.Contains(text, k.String())) {
			t.Errorf("%q: %+v", text, k)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	content := bytes.Repeat([]byte{'x'}, 1<<20)
	s := newSigner(b)
	v, err := New([]anchor.Anchor{s.anchor("a")})
	if err != nil {
		b.Fatal(err)
	}
	for name, sig := range map[string][]byte{"prehashed": s.sign("ED", comment, content),
		"legacy": s.sign("Ed", comment, content), "signify": s.signify(content)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				if list, err := v.Prove(b.Context(), sig, file(content)); err != nil || list[0].Problem != "" {
					b.Fatal(list, err)
				}
			}
		})
	}
}
