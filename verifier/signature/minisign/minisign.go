// Package minisign judges signatures of minisign and of OpenBSD's signify, whose keys have one form. It knows nothing of secret keys.
//
// A key's id is chosen at random and stands unsigned beside the signature: it only says which keys to try. Both tools sign with Ed25519 and
// without a mark of what for, so that the hash in a prehashed signature, and what a trusted comment is bound to, can be passed off as files of
// their own. Such files are noise that nobody chose: 64 bytes, and whatever comment, which no release is made of.
package minisign

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"aead.dev/minisign"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// The names of these kinds of signature.
const (
	Kind        = "minisign"
	KindSignify = "signify"
)

// The media types of signature files.
const (
	MediaType        = "application/vnd.countersign.minisign"
	MediaTypeSignify = "application/vnd.countersign.signify"
)

// The caps on what comes from outside.
const (
	MaxBytes   = 256 << 10 // of a signature file
	maxKeyText = 4 << 10   // of a .pub file, bytes
	maxWhole   = 64 << 20  // of a file that is signed with pure Ed25519, bytes: it is held in memory
	maxShown   = 200       // of text from outside in a note or a message, bytes
)

// Verifier judges signatures by the anchors that it was made with.
type Verifier struct {
	anchors []anchor.Anchor
	keys    map[uint64][]*key // by their ids, which need not be unique
}

// key is one key, and all anchors that hold it.
type key struct {
	minisign.PublicKey
	raw     ed25519.PublicKey
	anchors []*anchor.Anchor
}

// New reads the keys of MINISIGN anchors. Anchors that cannot be read are left out, and named in the error.
func New(anchors []anchor.Anchor) (*Verifier, error) {
	v := &Verifier{anchors: append([]anchor.Anchor(nil), anchors...), keys: make(map[uint64][]*key)}
	var bad []error
	for i := range v.anchors {
		a := &v.anchors[i]
		if a.Kind != anchor.Minisign || a.Purpose == anchor.Time {
			continue
		}
		k, err := parseKey(a.Material)
		if err != nil {
			bad = append(bad, fmt.Errorf("%s: %w", a.Name, err))
			continue
		}
		known := v.known(k)
		known.anchors = append(known.anchors, a)
	}
	return v, errors.Join(bad...)
}

// known returns the same key as it is kept.
func (v *Verifier) known(k *key) *key {
	for _, other := range v.keys[k.ID()] {
		if other.Equal(k.PublicKey) {
			return other
		}
	}
	v.keys[k.ID()] = append(v.keys[k.ID()], k)
	return k
}

// parseKey reads a .pub file: one line of base64, with an untrusted comment above it or without.
func parseKey(text string) (*key, error) {
	if len(text) > maxKeyText {
		return nil, fmt.Errorf("the public key has %d bytes, %d at most", len(text), maxKeyText)
	}
	lines := strings.Split(strings.ReplaceAll(strings.TrimSpace(text), "\r\n", "\n"), "\n")
	last := lines[len(lines)-1]
	if len(lines) > 2 || len(lines) == 2 && !strings.HasPrefix(lines[0], untrusted) {
		return nil, fmt.Errorf("line %d: the public key has one line, below an untrusted comment: give one .pub file of minisign or signify", len(lines))
	}
	k := new(key)
	if err := k.UnmarshalText([]byte(last)); err != nil {
		return nil, fmt.Errorf("line %d: %w: give a .pub file of minisign or signify", len(lines), err)
	}
	if k.String() != last {
		return nil, fmt.Errorf("line %d: the public key has characters that mean nothing", len(lines))
	}
	b, err := base64.StdEncoding.DecodeString(last)
	k.raw = b[len(b)-ed25519.PublicKeySize:]
	return k, err
}

// Describe says in a line for people which key a MINISIGN anchor holds.
func Describe(a anchor.Anchor) (string, error) {
	k, err := parseKey(a.Material)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("minisign or signify key %s (%s)", keyID(k.ID()), k), nil
}

// Prove judges a signature file over a file.
func (v *Verifier) Prove(ctx context.Context, content []byte, of proof.File) ([]proof.Proof, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err := parse(content)
	if err != nil {
		return one(proof.Bad(kindOf(content), "%v", err))
	}
	id := keyID(s.KeyID)
	if len(v.keys[s.KeyID]) == 0 {
		p := proof.Bad(s.kind, "made by the key %s, by the signature's own word, which no trust anchor holds", id)
		p.KeyID = id
		return one(p)
	}
	check, err := s.checker(ctx, of)
	if problem, ok := errors.AsType[tooLarge](err); ok {
		return one(proof.Bad(s.kind, "%v", problem))
	}
	if err != nil {
		return nil, err
	}
	for _, k := range v.keys[s.KeyID] {
		if check(k) {
			return one(s.proof(k))
		}
	}
	return one(proof.Bad(s.kind, "%s does not fit the key %s, which a trust anchor holds: it was changed, or is another's",
		s.culprit(v.keys[s.KeyID]), id))
}

func one(p proof.Proof) ([]proof.Proof, error) { return []proof.Proof{p}, nil }

// keyID writes a key's id as minisign does: hexadecimal, in capitals, without zeros in front.
func keyID(id uint64) string { return strings.ToUpper(strconv.FormatUint(id, 16)) }
