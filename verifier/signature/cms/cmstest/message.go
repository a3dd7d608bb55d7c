package cmstest

import (
	"encoding/asn1"
	"testing"

	"github.com/smallstep/pkcs7"
)

// Message is how a message is made. It is made by a library that is not the one under test.
type Message struct {
	Digest   asn1.ObjectIdentifier // SHA-256 if nil
	Attached bool
	Plain    bool // without signed attributes
	Stamps   func(signature []byte) []pkcs7.Attribute
}

// Sign makes a message over content by some signers.
func (m Message) Sign(t testing.TB, content []byte, by ...*Holder) []byte {
	t.Helper()
	sd, err := pkcs7.NewSignedData(content)
	if err != nil {
		t.Fatal(err)
	}
	sd.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if m.Digest != nil {
		sd.SetDigestAlgorithm(m.Digest)
	}
	for _, h := range by {
		if m.Plain {
			err = sd.SignWithoutAttr(h.Certificate, h.Key, pkcs7.SignerInfoConfig{})
		} else {
			err = sd.AddSigner(h.Certificate, h.Key, pkcs7.SignerInfoConfig{})
		}
		if err != nil {
			t.Fatal(err)
		}
		for up := h.Issuer; up != nil; up = up.Issuer {
			sd.AddCertificate(up.Certificate)
		}
	}
	m.stamp(t, sd)
	if !m.Attached {
		sd.Detach()
	}
	der, err := sd.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// stamp adds what Stamps makes of each signature.
func (m Message) stamp(t testing.TB, sd *pkcs7.SignedData) {
	t.Helper()
	if m.Stamps == nil {
		return
	}
	signers := sd.GetSignedData().SignerInfos
	for i := range signers {
		if err := signers[i].SetUnauthenticatedAttributes(m.Stamps(signers[i].EncryptedDigest)); err != nil {
			t.Fatal(err)
		}
	}
}
