// Package anchortest makes real keys and certificates of every kind that a trust anchor can hold, and signatures by them. It is for tests only.
package anchortest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/verifier/attest"
	"github.com/countersign-escrow/countersign/verifier/publickey"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
)

// Keys is one key of each kind. The keys of kinds that no method signs with are thrown away.
type Keys struct {
	pgp *openpgp.Entity
	ssh ssh.Signer
}

// New makes keys.
func New(t testing.TB) *Keys {
	t.Helper()
	entity, err := openpgp.NewEntity("Ann Author", "", "ann@acme.example", nil)
	check(t, err)
	_, secret, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	signer, err := ssh.NewSignerFromSigner(secret)
	check(t, err)
	return &Keys{pgp: entity, ssh: signer}
}

// Anchors holds one anchor for each kind, without a purpose.
func (k *Keys) Anchors(t testing.TB) map[anchor.Kind]*pb.TrustAnchor {
	t.Helper()
	return map[anchor.Kind]*pb.TrustAnchor{
		anchor.PublicKey: {PublicKeyPem: publicKey(t)},
		anchor.OpenPGP:   {OpenpgpKeyring: k.KeyRing(t)},
		anchor.SSH:       {SshAllowedSigners: k.AllowedSigners()},
		anchor.X509: {X509Certificates: &pb.X509Certificates{Pem: Authority(t, "Acme Code Signing CA"),
			Subject: &pb.NameMatch{Exact: "Acme AB"}}},
		anchor.SigstoreIdentity: {SigstoreIdentity: &pb.SigstoreIdentity{
			Issuer: &pb.NameMatch{Exact: "https://accounts.acme.example"}, Subject: &pb.NameMatch{Pattern: `.*@acme\.example`}}},
		anchor.SigstoreRoot: {SigstoreTrustedRoot: TrustedRoot(t)},
		anchor.Minisign:     {MinisignPublicKey: minisign(t)},
	}
}

// KeyRing returns the OpenPGP certificate, armoured.
func (k *Keys) KeyRing(t testing.TB) string {
	t.Helper()
	return armoured(t, openpgp.PublicKeyType, func(w *bytes.Buffer) error { return k.pgp.Serialize(w) })
}

// SecretKeyRing returns what must never be registered.
func (k *Keys) SecretKeyRing(t testing.TB) string {
	t.Helper()
	return armoured(t, openpgp.PrivateKeyType, func(w *bytes.Buffer) error { return k.pgp.SerializePrivate(w, nil) })
}

func armoured(t testing.TB, block string, write func(*bytes.Buffer) error) string {
	t.Helper()
	var raw, out bytes.Buffer
	check(t, write(&raw))
	w, err := armor.Encode(&out, block, nil)
	check(t, err)
	_, err = w.Write(raw.Bytes())
	check(t, err)
	check(t, w.Close())
	return out.String()
}

// AllowedSigners returns a line for the SSH key.
func (k *Keys) AllowedSigners() string {
	return "ann@acme.example " + string(ssh.MarshalAuthorizedKey(k.ssh.PublicKey()))
}

// SignOpenPGP makes a detached signature, armoured.
func (k *Keys) SignOpenPGP(t testing.TB, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	check(t, openpgp.ArmoredDetachSign(&out, k.pgp, bytes.NewReader(content), nil))
	return out.Bytes()
}

// SignSSH makes a signature as ssh-keygen -Y sign -n file does.
func (k *Keys) SignSSH(t testing.TB, content []byte) []byte {
	t.Helper()
	sig, err := sshsig.Sign(bytes.NewReader(content), k.ssh, sshsig.HashSHA512, "file")
	check(t, err)
	return sshsig.Armor(sig)
}

func publicKey(t testing.TB) string {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	text, err := publickey.PEM(public)
	check(t, err)
	return text
}

// Authority returns the certificate of a new authority, PEM.
func Authority(t testing.TB, name string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	der, err := x509.CreateCertificate(rand.Reader, authority(name), authority(name), key.Public(), key)
	check(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func authority(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
}

// TimestampAuthority returns the certificate at the top of a time-stamping authority, PEM.
func TimestampAuthority(t testing.TB) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	chain, err := attest.MakeTimestampCertificates("Acme", key.Public(), time.Now())
	check(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: chain[len(chain)-1].Raw}))
}

// TrustedRoot returns a trusted root with one log and one time-stamping authority.
func TrustedRoot(t testing.TB) string {
	t.Helper()
	logKey, _, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	tsa, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	chain, err := attest.MakeTimestampCertificates("Acme", tsa.Public(), time.Now())
	check(t, err)
	root, err := attest.TrustedRoot(attest.Trust{
		Logs:        []attest.TrustedLog{{Origin: "log.acme.example", Key: logKey, From: chain[0].NotBefore}},
		Authorities: []attest.TrustedAuthority{{Chain: chain, From: chain[0].NotBefore}},
	})
	check(t, err)
	return string(root)
}

// minisign returns a .pub file: algorithm, key id and key (jedisct1.github.io/minisign, "Public key format").
func minisign(t testing.TB) string {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	raw := append([]byte("Ed\x01\x02\x03\x04\x05\x06\x07\x08"), public...)
	return "untrusted comment: minisign public key 0807060504030201\n" + base64.StdEncoding.EncodeToString(raw) + "\n"
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
