package anchorfile

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
)

// Minisign reads a public key of minisign or signify.
func Minisign(path string) (Material, error) {
	b, err := Load(path)
	if err != nil {
		return Material{}, err
	}
	m, is, err := minisign(b)
	if !is {
		return m, fault.Invalidf(path, "holds no public key of minisign or signify")
	}
	return m, err
}

// minisignKey is how long algorithm, id and key are together, in bytes.
const minisignKey = 42

func minisign(b []byte) (Material, bool, error) {
	for line := range bytes.Lines(b) {
		raw, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(line)))
		if err == nil && len(raw) == minisignKey && bytes.HasPrefix(raw, []byte("Ed")) {
			return Material{anchor.Minisign, string(b), "a public key of minisign or signify"}, true, nil
		}
	}
	return Material{}, false, nil
}

// AllowedSigners reads an allowed-signers file (ssh-keygen(1)).
func AllowedSigners(path string) (Material, error) {
	b, err := Load(path)
	if err == nil && len(bytes.TrimSpace(b)) == 0 {
		err = fault.Invalidf(path, "is empty")
	}
	return Material{anchor.SSH, string(b), "an allowed-signers file"}, err
}

// TrustedRoot reads a Sigstore trusted root.
func TrustedRoot(path string) (Material, error) {
	b, err := Load(path)
	if err == nil && !json.Valid(b) {
		err = fault.Invalidf(path, "is no JSON, as a Sigstore trusted root is")
	}
	return Material{anchor.SigstoreRoot, string(b), "a Sigstore trusted root"}, err
}

// Certificates reads X.509 certificates, PEM or one in DER, for signatures by that subject.
func Certificates(path string, subject anchor.Name) (Material, error) {
	b, err := Load(path)
	if err != nil {
		return Material{}, err
	}
	if block, _ := pem.Decode(b); block == nil && len(b) > 0 && b[0] == 0x30 { // a SEQUENCE
		b = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b})
	}
	text, err := onlyCertificates(path, b)
	if err != nil {
		return Material{}, err
	}
	material, err := anchor.Material(anchor.Certificates{PEM: text, Subject: subject})
	return Material{anchor.X509, material, "X.509 certificates"}, err
}

// onlyCertificates leaves out what stands around the blocks.
func onlyCertificates(path string, b []byte) (string, error) {
	var out bytes.Buffer
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return "", fault.Invalidf(path, "holds a %.64q among the certificates", block.Type)
		}
		block.Headers = nil
		if err := pem.Encode(&out, block); err != nil {
			return "", err
		}
	}
	if out.Len() == 0 {
		return "", fault.Invalidf(path, "holds no certificate, in PEM or DER")
	}
	return out.String(), nil
}
