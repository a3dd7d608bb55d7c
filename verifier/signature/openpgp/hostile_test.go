package openpgp

import (
	"bytes"
	"crypto"
	"encoding/binary"
	"math/big"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	pgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
)

// nested makes the content of a version 6 signature with one inside, and so on, each in the part that no signature covers.
func nested(most int) []byte {
	body := []byte("innermost")
	for len(body) < most {
		sub := binary.BigEndian.AppendUint32([]byte{255}, uint32(len(body)+1))
		sub = append(append(sub, 32), body...)
		head := []byte{6, 0x10, 27, 8, 0, 0, 0, 6, 5, 2, 0x65, 0, 0, 0}
		body = append(binary.BigEndian.AppendUint32(head, uint32(len(sub))), sub...)
	}
	return body
}

// opaque writes a packet.
func opaque(t testing.TB, tag uint8, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := (&packet.OpaquePacket{Tag: tag, Contents: content}).Serialize(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// allocated returns how much memory f asks for.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestNestedSignatures: each inner signature would be copied once for every one around it.
func TestNestedSignatures(t *testing.T) {
	content := opaque(t, tagSignature, nested(200<<10))
	n := allocated(func() { wantProblem(t, proveOne(t, content, nil), "embedded signature") })
	if n > 16<<20 {
		t.Errorf("%d MiB for a file of %d KiB", n>>20, len(content)>>10)
	}
	if DetectSignature(content) {
		t.Error("taken for a signature")
	}
}

func mpi(bits int, n *big.Int) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(bits)), n.FillBytes(make([]byte, (bits+7)/8))...)
}

// publicDSA makes a DSA key of whatever lengths, and its packet.
func publicDSA(t testing.TB, p, q int) []byte {
	number := func(bits int) []byte {
		n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
		return mpi(bits, n.SetBit(n, 0, 1))
	}
	body := binary.BigEndian.AppendUint32([]byte{4}, uint32(born.Unix()))
	body = append(append(append(append(append(body, 17), number(p)...), number(q)...), mpi(2, big.NewInt(3))...), number(p-1)...)
	return opaque(t, tagPublicKey, body)
}

// TestHugeKeyIsNotCalculatedWith: one verification with such numbers takes minutes.
func TestHugeKeyIsNotCalculatedWith(t *testing.T) {
	dsa := publicDSA(t, 65535, 65528)
	public, err := packet.Read(bytes.NewReader(dsa))
	if err != nil {
		t.Fatal(err)
	}
	id := public.(*packet.PublicKey).KeyId
	hashed := binary.BigEndian.AppendUint32([]byte{5, 2}, uint32(born.Unix()))
	hashed = binary.BigEndian.AppendUint64(append(hashed, 9, 16), id)
	sig := binary.BigEndian.AppendUint16([]byte{4, 0x13, 17, 8}, uint16(len(hashed)))
	sig = append(append(sig, hashed...), 0, 0, 0, 0)
	sig = append(append(sig, mpi(65520, new(big.Int).Lsh(big.NewInt(5), 65510))...), mpi(65520, new(big.Int).Lsh(big.NewInt(7), 65510))...)
	ring := append(append(dsa, opaque(t, tagUserID, []byte("Huge"))...), opaque(t, tagSignature, sig)...)
	done := make(chan []*key, 1)
	go func() {
		v, _ := New([]anchor.Anchor{holding("huge", wrap(t, "PGP PUBLIC KEY BLOCK", ring))})
		done <- v.ring.keys
	}()
	select {
	case keys := <-done:
		if len(keys) != 1 || !strings.Contains(keys[0].problem, "65535 bits") {
			t.Errorf("%+v", keys)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("still calculating")
	}
}

// TestLengthIsTheNumbers: a packet may say that a short number is long, and begin it with zeros.
func TestLengthIsTheNumbers(t *testing.T) {
	number := new(big.Int).SetBit(new(big.Int).Lsh(big.NewInt(1), 1023), 0, 1)
	for bits, want := range map[int]bool{1024: true, 2048: true, 4096: true} {
		body := binary.BigEndian.AppendUint32([]byte{4}, uint32(born.Unix()))
		body = append(append(append(body, 1), mpi(bits, number)...), mpi(17, big.NewInt(65537))...)
		public, err := readKey(&packet.OpaquePacket{Tag: tagPublicKey, Contents: body})
		if err != nil {
			t.Fatal(err)
		}
		if length(public) != 1024 || short(public) != want || strength(public) != "" {
			t.Errorf("said to be of %d bits: %d, %t, %s", bits, length(public), short(public), strength(public))
		}
	}
}

// adopted writes a certificate of primary to which the primary key of other is bound as a subkey that may sign, both agreeing.
func adopted(t testing.TB, primary, other *pgp.Entity) string {
	t.Helper()
	c := &packet.Config{Time: at(born)}
	public := *other.PrimaryKey
	public.IsSubkey = true
	sig := &packet.Signature{Version: 4, SigType: packet.SigTypeSubkeyBinding, PubKeyAlgo: primary.PrimaryKey.PubKeyAlgo, Hash: crypto.SHA256,
		CreationTime: born, IssuerKeyId: &primary.PrimaryKey.KeyId, FlagsValid: true, FlagSign: true}
	sig.EmbeddedSignature = &packet.Signature{Version: 4, SigType: packet.SigTypePrimaryKeyBinding, PubKeyAlgo: public.PubKeyAlgo, Hash: crypto.SHA256,
		CreationTime: born, IssuerKeyId: &public.KeyId}
	var b bytes.Buffer
	for _, err := range []error{
		sig.EmbeddedSignature.CrossSignKey(&public, primary.PrimaryKey, other.PrivateKey, c), sig.SignKey(&public, primary.PrivateKey, c),
		primary.Serialize(&b), public.Serialize(&b), sig.Serialize(&b),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return wrap(t, "PGP PUBLIC KEY BLOCK", b.Bytes())
}

// TestKeyOfTwoCertificates: a key that two certificates have counts by each of them, whose lives differ.
func TestKeyOfTwoCertificates(t *testing.T) {
	first, second := newKey(t, "first", ed25519v4), newKey(t, "second", ed25519v4)
	content := []byte("content")
	list := proveAll(t, sign(t, second, content, packet.Config{}), content, holding("first", adopted(t, first, second)), holding("second", export(t, second)))
	if len(list) != 2 || list[0].Alternative || !list[1].Alternative {
		t.Fatalf("%+v", list)
	}
	for i, name := range []string{"first", "second"} {
		if wantGood(t, list[i]); !strings.HasSuffix(list[i].Anchors[0].Name, name) || list[i].Scope == "" {
			t.Errorf("%+v", list[i])
		}
	}
}

// TestTextSignatureOfNoText: two programs that differ in bytes which look like line ends have the same text signature.
func TestTextSignatureOfNoText(t *testing.T) {
	e := newKey(t, "text", ed25519v4)
	ring := holding("text", export(t, e))
	sign := func(content string) []byte {
		var out bytes.Buffer
		c := &packet.Config{DefaultHash: crypto.SHA256, Time: at(born.Add(time.Hour))}
		if err := pgp.DetachSignWithParams(&out, []*pgp.Entity{e}, strings.NewReader(content), &pgp.SignParams{TextSig: true, Config: c}); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	for _, content := range []string{"code\n\x00code", "code\r\n\x00code"} {
		wantProblem(t, proveOne(t, sign("code\n\x00code"), []byte(content), ring), "is no text:")
	}
	p := proveOne(t, sign("a text\n"), []byte("a text\r\n"), ring)
	if wantGood(t, p); !strings.Contains(p.Scope, "LF or CR LF is not covered") {
		t.Errorf("%+v", p)
	}
}

// TestLongUserID: every self-signature over it would hash it anew.
func TestLongUserID(t *testing.T) {
	e := newKey(t, "long", ed25519v4)
	ring := append(bytesOf(t, e), opaque(t, tagUserID, bytes.Repeat([]byte("x"), maxUserID+1))...)
	if _, err := New([]anchor.Anchor{holding("long", wrap(t, "PGP PUBLIC KEY BLOCK", ring))}); err == nil || !strings.Contains(err.Error(), "2049 bytes") {
		t.Errorf("%v", err)
	}
}
