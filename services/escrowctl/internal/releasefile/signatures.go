package releasefile

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/countersign-escrow/countersign/escrow/digest"
)

// BundleMediaType is how a Sigstore bundle's mediaType starts, whatever its version.
const BundleMediaType = "application/vnd.dev.sigstore.bundle"

// maxSignature bounds a signature file.
const maxSignature = 256 << 10

// Signature is a signature file over a manifest.
type Signature struct {
	Path      string
	MediaType string
	Content   []byte
}

// Signatures reads the signature files and refuses those that were plainly made over something else than this deposit.
// Whether their keys count is for the service to say.
func (f *File) Signatures(d *Deposit) ([]Signature, error) {
	c := newCollector(f.path)
	if len(f.doc.Signatures) == 0 {
		c.add(f.tree.line("signatures"), "signatures", "is missing: name a file, and make it with: escrowctl sign %s --key FILE", f.path)
	}
	var all []Signature
	for i, name := range f.doc.Signatures {
		field := index("signatures", i)
		s := Signature{Path: f.resolve(name)}
		var err error
		s.Content, err = readSignature(s.Path)
		if errors.Is(err, fs.ErrNotExist) {
			c.add(f.tree.line(field), field, "%s: no such file; make it with: escrowctl sign %s --key FILE", name, f.path)
			continue
		}
		if err == nil {
			s.MediaType, err = inspectBundle(s.Content, d)
		}
		if err != nil {
			c.add(f.tree.line(field), field, "%s: %v", name, err)
			continue
		}
		all = append(all, s)
	}
	return all, c.err()
}

func readSignature(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSignature+1))
	if err == nil && len(b) > maxSignature {
		err = errors.New("has more than 256 KiB")
	}
	return b, err
}

type bundleHead struct {
	MediaType        string `json:"mediaType"`
	MessageSignature struct {
		MessageDigest struct {
			Algorithm string `json:"algorithm"`
			Digest    []byte `json:"digest"`
		} `json:"messageDigest"`
	} `json:"messageSignature"`
}

// inspectBundle returns a bundle's media type, and an error if it names another digest than the manifest's.
func inspectBundle(b []byte, d *Deposit) (string, error) {
	var head bundleHead
	if err := json.Unmarshal(b, &head); err != nil || !strings.HasPrefix(head.MediaType, BundleMediaType) {
		return "", errors.New("is not a Sigstore bundle; make it with escrowctl sign, or with cosign sign-blob --bundle")
	}
	signed := head.MessageSignature.MessageDigest
	if signed.Algorithm == "SHA2_256" && !bytes.Equal(signed.Digest, d.Digest.Bytes()) {
		other, err := digest.FromBytes(signed.Digest)
		if err != nil {
			return "", errors.New("holds a malformed digest")
		}
		return "", &StaleSignatureError{Signed: other, Manifest: d.Digest}
	}
	return head.MediaType, nil
}

// StaleSignatureError says that a signature was made over another manifest.
type StaleSignatureError struct{ Signed, Manifest digest.Digest }

// Error names both digests and says what to do.
func (e *StaleSignatureError) Error() string {
	return "signs " + e.Signed.String() + ", but the manifest is now " + e.Manifest.String() +
		": something changed since it was signed; sign it again"
}
