package cms

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/cms/chain"
)

// labels are the PEM labels of CMS messages: of OpenSSL, of RFC 7468, and of gitsign and smimesign.
var labels = []string{"PKCS7", "CMS", "SIGNED MESSAGE"}

// signedDataOID is the start of every SignedData after its outer length.
var signedDataOID = []byte{0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02}

// Detect says whether content looks like a signature file of this kind.
func Detect(content []byte) bool {
	for _, label := range labels {
		if bytes.HasPrefix(bytes.TrimLeft(content, "\r\n\t "), []byte("-----BEGIN "+label+"-----")) {
			return true
		}
	}
	return len(content) > 0 && content[0] == 0x30 && bytes.Contains(content[:min(len(content), 7+len(signedDataOID))], signedDataOID)
}

// decode returns the DER of a signature file.
func decode(content []byte) ([]byte, error) {
	text := bytes.TrimLeft(content, "\r\n\t ")
	if !bytes.HasPrefix(text, []byte("-----BEGIN ")) {
		if len(content) == 0 {
			return nil, errors.New("is empty")
		}
		return content, nil
	}
	block, rest := pem.Decode(text)
	switch {
	case block == nil:
		return nil, errors.New("is no complete PEM block")
	case !slices.Contains(labels, block.Type):
		return nil, fmt.Errorf("is a PEM block %.60q, not PKCS7", block.Type)
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, errors.New("has something after its PEM block")
	}
	return block.Bytes, nil
}

// Describe says in a line what an X509 anchor holds.
func Describe(a anchor.Anchor) (string, error) {
	if a.Kind != anchor.X509 {
		return "", fmt.Errorf("is a trust anchor of kind %s, not %s", a.Kind, anchor.X509)
	}
	held, err := chain.Read(a)
	if err != nil {
		return "", err
	}
	return held.Describe(), nil
}
