package openpgp

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

const (
	beginText      = "-----BEGIN PGP SIGNED MESSAGE-----"
	beginSignature = "-----BEGIN PGP SIGNATURE-----"
)

// text is a clear-signed text (RFC 9580, section 7). What stands before and after it is in no way signed.
type text struct {
	before, after []byte
	hashes        []string // that its header names; none if it has no such header
	// signed is the text as it was before it was signed: without dashes that were put before lines, without white space at the ends of
	// lines, which no signature covers, every line ended by LF, the last one too, as gpg --decrypt has it. Whether the last line had an end
	// is not covered by a signature.
	signed    []byte
	canonical []byte // what is hashed: CR LF between lines, none after the last
	signature []byte // armoured
}

// DetectClearsigned says whether content is a clear-signed text, maybe with something around it.
func DetectClearsigned(content []byte) bool {
	for _, line := range lines(content) {
		if string(bytes.TrimRight(line, " \t")) == beginText {
			return true
		}
	}
	return false
}

func (v *Verifier) clearsigned(content []byte) []proof.Proof {
	t, err := readText(content)
	if err != nil {
		return bad("the clear-signed text cannot be read: %v", err)
	}
	sigs, err := readSignatures(t.signature)
	if err != nil {
		return bad("the signature of the clear-signed text cannot be read: %v", err)
	}
	for i := range sigs {
		if sigs[i].err == nil {
			sigs[i].err = t.unfit(sigs[i].sig)
		}
	}
	claims := v.claims(sigs)
	d := digestsFor(claims)
	_, _ = d.Write(t.canonical) // never fails
	list := prove(claims, d, func(*packet.Signature) string { return "the signed text, less white space at the ends of lines" })
	for i := range list {
		if list[i].Problem == "" {
			list[i].Signed = &proof.Signed{Content: bytes.Clone(t.signed)}
			list[i].Notes = append(list[i].Notes, t.notes()...)
		}
	}
	return list
}

// readText takes a clear-signed text apart. It is stricter than the library, which skips what it does not like: there is one text only, and no
// line of it that begins with a dash which was not put there in signing, so that no two programs disagree on where it ends.
func readText(content []byte) (t text, err error) {
	start, over, err := bounds(content)
	if err != nil {
		return t, err
	}
	decoded, rest := clearsign.Decode(content[start:])
	if decoded == nil {
		return t, fmt.Errorf("it is not well-formed: cut off, or a header other than Hash")
	}
	t = text{before: content[:start], after: rest, hashes: decoded.Headers.Values("Hash"), canonical: decoded.Bytes,
		signature: content[over : len(content)-len(rest)]}
	t.signed = append(bytes.Clone(decoded.Plaintext), '\n')
	return t, nil
}

// bounds returns where the text's BEGIN line is, and that of its signature.
func bounds(content []byte) (start, over int, err error) {
	start, over = -1, -1
	for at, line := range lines(content) {
		switch {
		case string(bytes.TrimRight(line, " \t")) == beginText && start >= 0:
			return 0, 0, fmt.Errorf("byte %d: a second one begins; only one may be in a file", at)
		case start < 0 && string(line) == beginText:
			start = at
		case start < 0 && string(bytes.TrimRight(line, " \t")) == beginText:
			return 0, 0, fmt.Errorf("byte %d: white space follows its BEGIN line, so that some programs take it for one and some do not", at)
		case start < 0 || over >= 0:
		case string(line) == beginSignature:
			over = at
		case bytes.HasPrefix(line, []byte("-")) && !bytes.HasPrefix(line, []byte("- ")):
			return 0, 0, fmt.Errorf("byte %d: a line of it begins with a dash that is not escaped", at)
		}
	}
	if start < 0 || over < 0 {
		return 0, 0, fmt.Errorf("it is cut off: it has no signature")
	}
	return start, over, nil
}

// unfit says why a signature is none of such a text.
func (t *text) unfit(sig *packet.Signature) error {
	if sig.SigType != packet.SigTypeText {
		return fmt.Errorf("the signature is of type 0x%02x, not one of a text", uint8(sig.SigType))
	}
	if name := strings.Replace(sig.Hash.String(), "SHA-", "SHA", 1); len(t.hashes) > 0 && !slices.Contains(t.hashes, name) {
		return fmt.Errorf("the header says that the hash is %.100q, the signature is by %s", strings.Join(t.hashes, ", "), name)
	}
	return nil
}

func (t *text) notes() (list []string) {
	for _, outside := range []struct {
		where string
		text  []byte
	}{{"before", t.before}, {"after", t.after}} {
		if b := bytes.TrimSpace(outside.text); len(b) > 0 {
			const shown = 80
			list = append(list, fmt.Sprintf("%d bytes %s the signed text are not covered by the signature: %q",
				len(outside.text), outside.where, b[:min(len(b), shown)]))
		}
	}
	return list
}
