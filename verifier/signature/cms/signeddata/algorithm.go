package signeddata

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	_ "crypto/md5" // linked in, so that a message that uses it is named weak rather than unknown
	"crypto/rsa"
	_ "crypto/sha1"
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"

	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

const maxRSABits = 8192 // beyond it one signature would cost too much

var hashes = []struct {
	oid  string
	hash crypto.Hash
}{
	{"1.2.840.113549.2.5", crypto.MD5},
	{"1.3.14.3.2.26", crypto.SHA1},
	{"2.16.840.1.101.3.4.2.1", crypto.SHA256},
	{"2.16.840.1.101.3.4.2.2", crypto.SHA384},
	{"2.16.840.1.101.3.4.2.3", crypto.SHA512},
}

// HashOf returns a digest algorithm.
func HashOf(a pkix.AlgorithmIdentifier) (crypto.Hash, error) {
	for _, h := range hashes {
		if a.Algorithm.String() == h.oid {
			return h.hash, nil
		}
	}
	return 0, fmt.Errorf("the digest algorithm %.60s is not supported", a.Algorithm.String())
}

// Hash returns the algorithm that the content is hashed by.
func (s *Signer) Hash() (crypto.Hash, error) { return HashOf(s.digest) }

// Weak lists what is weak in the signature itself.
func (s *Signer) Weak() []proof.Weakness {
	hash, _ := s.Hash()
	return WeakHash(hash)
}

// WeakHash returns the weakness of a digest algorithm, if it has one.
func WeakHash(h crypto.Hash) []proof.Weakness {
	switch h {
	case crypto.MD5:
		return []proof.Weakness{proof.MD5}
	case crypto.SHA1:
		return []proof.Weakness{proof.SHA1}
	}
	return nil
}

// scheme is how a signature is made: with what kind of key, and which digest it names itself, 0 if that of the signer.
type scheme struct {
	kind string
	hash crypto.Hash
}

var schemes = map[string]scheme{
	"1.2.840.113549.1.1.1":  {"RSA", 0},
	"1.2.840.113549.1.1.4":  {"RSA", crypto.MD5},
	"1.2.840.113549.1.1.5":  {"RSA", crypto.SHA1},
	"1.2.840.113549.1.1.11": {"RSA", crypto.SHA256},
	"1.2.840.113549.1.1.12": {"RSA", crypto.SHA384},
	"1.2.840.113549.1.1.13": {"RSA", crypto.SHA512},
	"1.2.840.113549.1.1.10": {"PSS", 0},
	"1.2.840.10045.2.1":     {"ECDSA", 0},
	"1.2.840.10045.4.1":     {"ECDSA", crypto.SHA1},
	"1.2.840.10045.4.3.2":   {"ECDSA", crypto.SHA256},
	"1.2.840.10045.4.3.3":   {"ECDSA", crypto.SHA384},
	"1.2.840.10045.4.3.4":   {"ECDSA", crypto.SHA512},
	"1.3.101.112":           {"Ed25519", 0},
}

var errSignature = errors.New("is not by the key of the certificate that it names, or is damaged")

func (s *Signer) checkSignature(c *x509.Certificate, of Content) error {
	scheme, known := schemes[s.algorithm.Algorithm.String()]
	if !known {
		return fmt.Errorf("the signature algorithm %.60s is not supported", s.algorithm.Algorithm.String())
	}
	hash, err := s.Hash()
	if err != nil {
		return err
	}
	if scheme.hash != 0 && scheme.hash != hash {
		return fmt.Errorf("names two digest algorithms, %s and %s", hash, scheme.hash)
	}
	if key, ok := c.PublicKey.(ed25519.PublicKey); ok && scheme.kind == "Ed25519" {
		return s.checkEd25519(key, of)
	}
	sum, err := of.Digest(hash)
	if err != nil {
		return &ContentError{err}
	}
	return s.checkSum(scheme.kind, c.PublicKey, hash, sum)
}

// checkSum checks a signature over a digest. Where key and scheme differ in kind it is not by that key.
func (s *Signer) checkSum(kind string, public any, hash crypto.Hash, sum []byte) error {
	switch key := public.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() > maxRSABits {
			return fmt.Errorf("is by an RSA key of %d bits, %d at most", key.N.BitLen(), maxRSABits)
		}
		if kind == "RSA" && rsa.VerifyPKCS1v15(key, hash, sum, s.Signature) == nil {
			return nil
		}
		if kind == "PSS" {
			return s.checkPSS(key, hash, sum)
		}
	case *ecdsa.PublicKey:
		if kind == "ECDSA" && ecdsa.VerifyASN1(key, sum, s.Signature) {
			return nil
		}
	}
	return errSignature
}

func (s *Signer) checkEd25519(key ed25519.PublicKey, of Content) error {
	b, err := of.All()
	if err != nil {
		return &ContentError{err}
	}
	if !ed25519.Verify(key, b, s.Signature) {
		return errSignature
	}
	return nil
}

// pssParameters are RSASSA-PSS-params (RFC 4055), whose defaults are of SHA-1.
type pssParameters struct {
	Hash    pkix.AlgorithmIdentifier `asn1:"explicit,optional,tag:0"`
	Mask    pkix.AlgorithmIdentifier `asn1:"explicit,optional,tag:1"`
	Salt    int                      `asn1:"explicit,optional,default:20,tag:2"`
	Trailer int                      `asn1:"explicit,optional,default:1,tag:3"`
}

var oidMGF1 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8}

func (s *Signer) checkPSS(key *rsa.PublicKey, hash crypto.Hash, sum []byte) error {
	var p pssParameters
	if err := unmarshal(s.algorithm.Parameters.FullBytes, &p); err != nil {
		return fmt.Errorf("RSA-PSS parameters: %w", err)
	}
	if p.Trailer != 1 || !sameHash(p.Hash, hash) || !maskOf(p.Mask, hash) || p.Salt < 0 || p.Salt > key.Size() {
		return errors.New("RSA-PSS parameters: name another digest algorithm than the signer, or a mask or salt that is not supported")
	}
	// A salt of length 0 reads as "any" here, which takes nothing from the proof.
	if rsa.VerifyPSS(key, hash, sum, s.Signature, &rsa.PSSOptions{SaltLength: p.Salt, Hash: hash}) != nil {
		return errSignature
	}
	return nil
}

func sameHash(a pkix.AlgorithmIdentifier, hash crypto.Hash) bool {
	h, err := HashOf(a)
	return len(a.Algorithm) == 0 && hash == crypto.SHA1 || err == nil && h == hash
}

func maskOf(a pkix.AlgorithmIdentifier, hash crypto.Hash) bool {
	if len(a.Algorithm) == 0 {
		return hash == crypto.SHA1
	}
	var inner pkix.AlgorithmIdentifier
	return a.Algorithm.Equal(oidMGF1) && unmarshal(a.Parameters.FullBytes, &inner) == nil && sameHash(inner, hash)
}
