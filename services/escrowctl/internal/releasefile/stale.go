package releasefile

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"encoding/json"

	"github.com/countersign-escrow/countersign/escrow/digest"
)

type bundleHead struct {
	MessageSignature struct {
		MessageDigest struct {
			Algorithm string `json:"algorithm"`
			Digest    []byte `json:"digest"`
		} `json:"messageDigest"`
	} `json:"messageSignature"`
}

// bundleHashes are the algorithms that Sigstore bundles name for digests.
var bundleHashes = map[string]struct {
	crypto.Hash
	name string
}{"SHA2_256": {crypto.SHA256, "sha256"}, "SHA2_384": {crypto.SHA384, "sha384"}, "SHA2_512": {crypto.SHA512, "sha512"}}

// staleBundle returns an error if a Sigstore bundle names another digest than the manifest's. Other forms do not say what they are over.
func staleBundle(b []byte, d *Deposit) error {
	var head bundleHead
	if err := json.Unmarshal(b, &head); err != nil {
		return nil
	}
	signed := head.MessageSignature.MessageDigest
	algorithm, ok := bundleHashes[signed.Algorithm]
	if !ok {
		return nil
	}
	h := algorithm.New()
	h.Write(d.Bytes)
	if bytes.Equal(signed.Digest, h.Sum(nil)) {
		return nil
	}
	return &StaleSignatureError{Signed: algorithm.name + ":" + hex.EncodeToString(signed.Digest), Manifest: d.Digest}
}

// StaleSignatureError says that a signature was made over another manifest.
type StaleSignatureError struct {
	Signed   string // the digest of what was signed
	Manifest digest.Digest
}

// Error names both digests and says what to do.
func (e *StaleSignatureError) Error() string {
	return "signs " + e.Signed + ", but the manifest is now " + e.Manifest.String() +
		": something changed since it was signed; sign it again"
}
