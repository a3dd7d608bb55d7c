package sshsig

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/sha512"
	"encoding/pem"
	"fmt"
	"io"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// armour begins an armoured signature.
const armour = "-----BEGIN " + sshsig.PEMType + "-----"

// Detect says whether content is an armoured SSH signature.
func Detect(content []byte) bool { return bytes.HasPrefix(content, []byte(armour)) }

// signature is a signature file that was read, of an algorithm that is believed.
type signature struct {
	*sshsig.Signature
	cert *ssh.Certificate // nil if a bare key made it
	sk   skFields
}

// skFields are what a security key adds to a signature (PROTOCOL.u2f).
type skFields struct {
	Flags   byte
	Counter uint32
}

// The flags of a security key.
const (
	userPresent  = 0x01 // somebody touched it
	userVerified = 0x04 // and proved to be its owner, such as by a PIN
)

// parse reads a signature file strictly. The library reads the format and checks version and hash algorithm; that nothing stands around the
// armour, that the algorithms of key and signature are strong and agree (in certificates, too), and that nothing trails is checked here.
func parse(content []byte) (*signature, error) {
	if len(content) > MaxBytes {
		return nil, fmt.Errorf("the signature file has %d bytes, %d at most", len(content), MaxBytes)
	}
	if !Detect(content) {
		return nil, fmt.Errorf("the signature file does not begin with %s", armour)
	}
	block, rest := pem.Decode(content)
	switch {
	case bytes.Count(content, []byte("-----BEGIN ")) > 1: // of which the reader passes over those that it cannot read
		return nil, errBeside
	case block == nil || block.Type != sshsig.PEMType:
		return nil, fmt.Errorf("the armour cannot be read: it may have been cut off")
	case len(block.Headers) > 0 || len(bytes.TrimSpace(rest)) > 0:
		return nil, errBeside
	}
	parsed, err := sshsig.ParseSignature(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the signature cannot be read: %s", shown(err.Error()))
	}
	return newSignature(parsed)
}

var errBeside = fmt.Errorf("something stands beside the signature in its file: one signature is all that it may hold")

func newSignature(parsed *sshsig.Signature) (*signature, error) {
	s := &signature{Signature: parsed}
	s.cert, _ = parsed.PublicKey.(*ssh.Certificate)
	if err := checkAlgorithms(s.key(), parsed.Signature.Format); err != nil {
		return nil, err
	}
	if !isSecurityKey(s.key()) {
		if len(parsed.Signature.Rest) > 0 {
			return nil, fmt.Errorf("something follows the signature in its blob")
		}
		return s, nil
	}
	if err := ssh.Unmarshal(parsed.Signature.Rest, &s.sk); err != nil {
		return nil, fmt.Errorf("flags and counter of the security key cannot be read")
	}
	if s.sk.Flags&userPresent == 0 {
		return nil, fmt.Errorf("made by a security key that nobody touched: its flag of the user's presence is not set; " +
			"sign with a key made without no-touch-required")
	}
	return s, nil
}

// checkAlgorithms refuses keys and signatures that are not believed, whoever made them. A certificate's key is held to the same.
func checkAlgorithms(key ssh.PublicKey, format string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	switch {
	case key.Type() == ssh.KeyAlgoRSA && format != ssh.KeyAlgoRSASHA256 && format != ssh.KeyAlgoRSASHA512:
		return fmt.Errorf("the algorithm %s is refused for RSA keys: rsa-sha2-256 or rsa-sha2-512 is needed, as ssh-keygen makes", shown(format))
	case key.Type() != ssh.KeyAlgoRSA && format != key.Type():
		return fmt.Errorf("the algorithm %s does not belong to a key of the type %s", shown(format), key.Type())
	}
	return nil
}

// checkKey refuses types of keys that are not believed, such as DSA.
func checkKey(key ssh.PublicKey) error {
	switch key.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSA, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256:
		return nil
	}
	return fmt.Errorf("keys of the type %s are refused: use Ed25519, ECDSA or RSA", shown(key.Type()))
}

func isSecurityKey(key ssh.PublicKey) bool {
	return key.Type() == ssh.KeyAlgoSKED25519 || key.Type() == ssh.KeyAlgoSKECDSA256
}

// key returns the key that made the signature, out of its certificate if there is one.
func (s *signature) key() ssh.PublicKey {
	if s.cert != nil {
		return s.cert.Key
	}
	return s.PublicKey
}

func (s *signature) keyID() string { return fingerprint(s.key()) }

// weak says what is weak about the key, and the key of the authority.
func (s *signature) weak() []proof.Weakness {
	if shortRSA(s.key()) || s.cert != nil && shortRSA(s.cert.SignatureKey) {
		return []proof.Weakness{proof.ShortRSA}
	}
	return nil
}

func shortRSA(key ssh.PublicKey) bool {
	k, ok := key.(ssh.CryptoPublicKey)
	if !ok {
		return false
	}
	r, ok := k.CryptoPublicKey().(*rsa.PublicKey)
	return ok && r.N.BitLen() < proof.MinRSABits
}

func (s *signature) notes() (out []string) {
	if s.cert != nil {
		out = append(out, fmt.Sprintf("by a certificate with the id %s and the serial number %d, of the authority %s", shown(s.cert.KeyId), s.cert.Serial,
			fingerprint(s.cert.SignatureKey)))
	}
	if isSecurityKey(s.key()) {
		verified := "not verified"
		if s.sk.Flags&userVerified != 0 {
			verified = "verified"
		}
		out = append(out, fmt.Sprintf("by a security key: user present, user %s, counter %d", verified, s.sk.Counter))
	}
	return out
}

// signedData returns the bytes that the key signs: a preamble, namespace and the hash of the file. SHA-256 is known without reading.
func signedData(ctx context.Context, s *signature, of proof.File) ([]byte, error) {
	sum := of.Digest.Bytes()
	if s.HashAlgorithm == sshsig.HashSHA512 {
		h := sha512.New()
		err := of.Read(ctx, func(r io.Reader) error {
			_, err := io.Copy(h, r)
			return err
		})
		if err != nil {
			return nil, err
		}
		sum = h.Sum(nil)
	}
	return append([]byte("SSHSIG"), ssh.Marshal(struct {
		Namespace, Reserved, Hash string
		Sum                       []byte
	}{s.Namespace, "", s.HashAlgorithm.String(), sum})...), nil
}
