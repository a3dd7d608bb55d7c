package sigstorebundle

import (
	"crypto"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"io"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/verifier/signature/cms/cmstest"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// TestHugeKey: the key in a certificate is the sender's, and so is what it costs.
func TestHugeKey(t *testing.T) {
	n := new(big.Int).Lsh(big.NewInt(1), 600_000)
	key := &rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: 1<<31 - 1}
	if err := checkKey(key); err == nil {
		t.Error("an anchor may hold it")
	}
	began := time.Now()
	ok, err := verifies(t.Context(), key, &message{File: proof.File{Digest: digest.Of(nil)}}, append([]byte{0}, make([]byte, 75_000)...))
	if ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("took %v", took)
	}
}

// TestHugeKeyInStamp: a time stamp is verified by the keys that it brings.
func TestHugeKeyInStamp(t *testing.T) {
	n := new(big.Int).Lsh(big.NewInt(1), 16_384)
	huge := cmstest.Root(t, "TSA root", cmstest.EC(t)).Issue(t, "huge", public{&rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: 65537}})
	tsa := cmstest.Root(t, "TSA root", cmstest.EC(t)).Issue(t, "TSA", cmstest.EC(t), cmstest.Stamp)
	token := cmstest.Message{Attached: true}.Sign(t, []byte("x"), &cmstest.Holder{Certificate: tsa.Certificate, Key: tsa.Key, Issuer: huge})
	response, err := asn1.Marshal(struct{ Status, Token asn1.RawValue }{asn1.RawValue{FullBytes: []byte{0x30, 3, 2, 1, 0}}, asn1.RawValue{FullBytes: token}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stamper(response, []byte("x")); err == nil || !strings.Contains(err.Error(), "8192 at most") {
		t.Error(err)
	}
}

// public is a key that nobody has.
type public struct{ key *rsa.PublicKey }

func (p public) Public() crypto.PublicKey { return p.key }
func (public) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("is no private key")
}
