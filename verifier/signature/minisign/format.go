package minisign

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"aead.dev/minisign"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// What lines begin with. The comment above a signature is signed by nobody.
const (
	untrusted = "untrusted comment: "
	trusted   = "trusted comment: "
)

// rawLength is that of the line with the signature: two bytes of algorithm, eight of key id, and the signature.
const rawLength = 2 + 8 + 64

// signature is a signature file that was read.
type signature struct {
	minisign.Signature
	kind string
	text []byte // as the library reads it
}

// Detect says whether content has the form of a minisign signature.
func Detect(content []byte) bool {
	_, rest, ok := cutSignature(content)
	return ok && bytes.HasPrefix(rest, []byte(trusted))
}

// DetectSignify says whether content has the form of a signify signature; with the message embedded, too, so that this can be said.
func DetectSignify(content []byte) bool {
	raw, rest, ok := cutSignature(content)
	return ok && raw[0] == 'E' && raw[1] == 'd' && !bytes.HasPrefix(rest, []byte(trusted))
}

// cutSignature reads the two lines that both forms begin with: an untrusted comment, and a signature.
func cutSignature(content []byte) (raw, rest []byte, ok bool) {
	comment, rest, ok := bytes.Cut(content, []byte("\n"))
	if !ok || !bytes.HasPrefix(comment, []byte(untrusted)) || len(comment) > MaxBytes {
		return nil, nil, false
	}
	text, rest, _ := bytes.Cut(rest, []byte("\n"))
	text = bytes.TrimSuffix(text, []byte("\r"))
	if len(text) != base64.StdEncoding.EncodedLen(rawLength) {
		return nil, nil, false
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(string(text))
	return raw, rest, err == nil && len(raw) == rawLength
}

func kindOf(content []byte) string {
	if DetectSignify(content) {
		return KindSignify
	}
	return Kind
}

// parse reads a signature file strictly: nothing may stand in it that means nothing.
func parse(content []byte) (*signature, error) {
	if len(content) > MaxBytes {
		return nil, fmt.Errorf("the signature file has %d bytes, %d at most", len(content), MaxBytes)
	}
	raw, rest, ok := cutSignature(content)
	switch {
	case !ok:
		return nil, fmt.Errorf("not a signature of minisign or signify: it must begin with a line %q and one with the signature in base64", untrusted)
	case bytes.HasPrefix(rest, []byte(trusted)):
		return parseMinisign(content)
	case string(raw[:2]) != "Ed":
		return nil, fmt.Errorf("the signature has no trusted comment, as minisign writes it: the file may have been cut off")
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, fmt.Errorf("something follows the signature, such as the message that signify -e embeds: sign without -e")
	}
	s := &signature{kind: KindSignify}
	for i := range 8 {
		s.KeyID |= uint64(raw[2+i]) << (8 * i)
	}
	s.Algorithm = minisign.EdDSA
	copy(s.Signature.Signature[:], raw[10:])
	return s, nil
}

func parseMinisign(content []byte) (*signature, error) {
	text := bytes.TrimRight(bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n")), "\r\n")
	s := &signature{kind: Kind, text: text}
	if err := s.UnmarshalText(text); err != nil {
		return nil, fmt.Errorf("the signature cannot be read: %s", proof.Quoted(err.Error(), maxShown))
	}
	if canonical, err := s.MarshalText(); err != nil || string(bytes.TrimRight(canonical, "\n")) != string(text) {
		return nil, fmt.Errorf("the signature file has characters that mean nothing")
	}
	return s, nil
}

// proof is that of a good signature.
func (s *signature) proof(k *key) proof.Proof {
	p := proof.Proof{Kind: s.kind, Anchors: append([]*anchor.Anchor(nil), k.anchors...), KeyID: keyID(s.KeyID), Scope: "all of the file"}
	if s.kind == Kind {
		p.Scope += ", and the trusted comment"
		p.Claim = claim(s.TrustedComment)
		p.Notes = []string{"trusted comment: " + proof.Quoted(s.TrustedComment, maxShown)}
	}
	return p
}

// claim finds when the signer says to have signed, as minisign itself writes it into the trusted comment: timestamp: and seconds since 1970.
func claim(comment string) time.Time {
	for _, field := range strings.Fields(comment) {
		text, ok := strings.CutPrefix(field, "timestamp:")
		if !ok {
			continue
		}
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && n > 0 && n < endOfTime {
			return time.Unix(n, 0).UTC()
		}
		return time.Time{}
	}
	return time.Time{}
}

// endOfTime is the year 10000, in seconds since 1970: later times cannot be written as a date.
const endOfTime = 253402300800
