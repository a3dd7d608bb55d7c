package sshsig

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"io"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
)

func newSigner(t testing.TB, key crypto.Signer, err error) ssh.Signer {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newEd25519(t testing.TB) ssh.Signer {
	_, key, err := ed25519.GenerateKey(nil)
	return newSigner(t, key, err)
}

func newECDSA(t testing.TB, curve elliptic.Curve) ssh.Signer {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	return newSigner(t, key, err)
}

func newRSA(t testing.TB, bits int) ssh.Signer {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	return newSigner(t, key, err)
}

// withAlgorithm signs with one algorithm, whatever is usual.
type withAlgorithm struct {
	ssh.Signer
	name string
}

func (s withAlgorithm) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return s.SignWithAlgorithm(rand, data, "")
}

func (s withAlgorithm) SignWithAlgorithm(rand io.Reader, data []byte, _ string) (*ssh.Signature, error) {
	return s.Signer.(ssh.AlgorithmSigner).SignWithAlgorithm(rand, data, s.name)
}

// securityKey is a security key in software: no hardware is to be had in a test. Its signatures are made as PROTOCOL.u2f says.
type securityKey struct {
	public ssh.PublicKey
	flags  byte
	sign   func(message []byte) *ssh.Signature
}

const application = "ssh:"

func (k securityKey) PublicKey() ssh.PublicKey { return k.public }

func (k securityKey) Sign(_ io.Reader, data []byte) (*ssh.Signature, error) {
	app, sum, tail := sha256.Sum256([]byte(application)), sha256.Sum256(data), []byte{k.flags, 0, 0, 0, 7}
	sig := k.sign(bytes.Join([][]byte{app[:], tail, sum[:]}, nil))
	sig.Format, sig.Rest = k.public.Type(), tail
	return sig, nil
}

func newSecurityEd25519(t testing.TB, flags byte) securityKey {
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return securityKey{parsed(t, ssh.Marshal(struct {
		Type        string
		Key         []byte
		Application string
	}{ssh.KeyAlgoSKED25519, public, application})), flags, func(message []byte) *ssh.Signature {
		return &ssh.Signature{Blob: ed25519.Sign(key, message)}
	}}
}

func newSecurityECDSA(t testing.TB, flags byte) securityKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return securityKey{parsed(t, ssh.Marshal(struct {
		Type, Curve string
		Point       []byte
		Application string
	}{ssh.KeyAlgoSKECDSA256, "nistp256", point, application})), flags, func(message []byte) *ssh.Signature {
		sum := sha256.Sum256(message)
		r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return &ssh.Signature{Blob: ssh.Marshal(struct{ R, S *big.Int }{r, s})}
	}}
}

func parsed(t testing.TB, wire []byte) ssh.PublicKey {
	t.Helper()
	key, err := ssh.ParsePublicKey(wire)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// makeSignature signs as the library does, with any hash and namespace.
func makeSignature(t testing.TB, signer ssh.Signer, hash sshsig.HashAlgorithm, namespace string, content []byte) []byte {
	t.Helper()
	s, err := sshsig.Sign(bytes.NewReader(content), signer, hash, namespace)
	if err != nil {
		t.Fatal(err)
	}
	return sshsig.Armor(s)
}

// keyText is a key as .pub files have it, less the comment.
func keyText(key ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

func sshAnchor(name, material string) anchor.Anchor {
	return anchor.Anchor{Name: "organizations/o/trustAnchors/" + name, Kind: anchor.SSH, Purpose: anchor.Release, Material: material}
}

// certify makes a certificate for the key of a signer; change may make it a bad one before it is signed.
func certify(t testing.TB, ca, signer ssh.Signer, change func(*ssh.Certificate)) ssh.Signer {
	t.Helper()
	now := time.Now()
	c := &ssh.Certificate{Key: signer.PublicKey(), Serial: 12, CertType: ssh.UserCert, KeyId: "alice's laptop",
		ValidPrincipals: []string{"alice@example.com"},
		ValidAfter:      uint64(now.Add(-time.Hour).Unix()), ValidBefore: uint64(now.Add(time.Hour).Unix())}
	if change != nil {
		change(c)
	}
	if err := c.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	return certified{signer, c}
}

// certified signs with a key and names its certificate. ssh.NewCertSigner would check more.
type certified struct {
	ssh.Signer
	certificate *ssh.Certificate
}

func (c certified) PublicKey() ssh.PublicKey { return c.certificate }

func day(t time.Time) string { return fmt.Sprintf("%q", t.UTC().Format("20060102150405Z")) }
