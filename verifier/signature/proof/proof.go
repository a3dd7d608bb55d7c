// Package proof holds what the mathematics of a signature says: over what it is, whose key made it, and what is known of when. Whether
// it counts is judged by somebody else. The package knows nothing of any kind of signature.
package proof

import (
	"fmt"
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
)

// Proof is what one signature says. The zero value proves nothing.
type Proof struct {
	Kind string // such as openpgp, for people and programs
	// Problem says why the signature is bad, unreadable or by nobody known, and what to do; "" where it is good mathematically.
	Problem string
	// Alternative says that it speaks of the same signature as the proof before it: it may be good in another way, such as by another trusted root
	// or by another term of the key. Of those that count the first that covers most is taken.
	Alternative bool
	// Anchors are all anchors whose key, certificate or identity made it. There is none, and a Problem, where it is by a stranger: what a
	// signature says of its own maker is never believed.
	Anchors []*anchor.Anchor
	// Roots are other anchors that it rests on, such as the trusted root that its certificate goes back to. Each must count, too.
	Roots  []*anchor.Anchor
	KeyID  string // the key in the usual form of the kind, such as an OpenPGP fingerprint or SHA256:… of SSH
	Signer string // whom anchor or certificate name as its maker, for people: a user id, a subject, a principal
	Scope  string // what exactly is covered, as half a sentence: "the PE image less its signature"
	// Signed is what is signed where the signature file carries it itself, and nil where it is over the file given.
	Signed *Signed
	Times  []Time    // what is proved of when it was made, if anything
	Claim  time.Time // what the signer says of when it was made, worth as much; zero if nothing
	Life   Life      // of the key or certificate that made it
	Weak   []Weakness
	Notes  []string // what should be known besides, such as text outside the signed part
}

// Signed is content that a signature file carries.
type Signed struct {
	MediaType string // "" for plain bytes; application/vnd.in-toto+json for a statement
	Content   []byte
}

// StatementType is the media type of in-toto statements.
const StatementType = "application/vnd.in-toto+json"

// Time is an instant at which a signature was there already, and how that is known.
type Time struct {
	At time.Time
	By string // such as "a time stamp by CN=…" or "the log rekor.sigstore.dev"
	// Root is the anchor that vouches for it: a time-stamping authority's, a trusted root. A time whose root does not count is no time.
	Root *anchor.Anchor
}

// Life is when a key or certificate may sign, by its own word.
type Life struct {
	From        time.Time // zero: since ever
	Until       time.Time // zero: for ever; the first instant at which it may not
	Revoked     time.Time // zero: not revoked
	Compromised bool      // revoked as compromised
}

// Problem says why a signature that was made at a time is outside the life; "" where it is inside.
func (l Life) Problem(at time.Time) string {
	switch {
	case l.Compromised:
		return fmt.Sprintf("the key that made it is revoked as compromised (at %s)", stamp(l.Revoked))
	case !l.Revoked.IsZero() && !at.Before(l.Revoked):
		return fmt.Sprintf("the key that made it was revoked at %s", stamp(l.Revoked))
	case !l.From.IsZero() && at.Before(l.From):
		return fmt.Sprintf("the key or certificate that made it is good only from %s", stamp(l.From))
	case !l.Until.IsZero() && !at.Before(l.Until):
		return fmt.Sprintf("the key or certificate that made it expired at %s", stamp(l.Until))
	}
	return ""
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Weakness is the use of an algorithm that is too weak to be believed unless an anchor's owner allows it.
type Weakness string

// The weaknesses.
const (
	MD5      Weakness = "MD5"
	SHA1     Weakness = "SHA-1" // outside git
	ShortRSA Weakness = "RSA under 2048 bits"
)

// Allowed says whether an anchor's owner allows the weakness.
func (w Weakness) Allowed(u anchor.Unsafe) bool {
	switch w {
	case MD5:
		return u.MD5
	case SHA1:
		return u.SHA1
	case ShortRSA:
		return u.ShortRSA
	default:
		return false
	}
}

// MinRSABits is the length from which an RSA key is no ShortRSA.
const MinRSABits = 2048

// Bad is the proof of a signature that proves nothing.
func Bad(kind, format string, args ...any) Proof {
	return Proof{Kind: kind, Problem: fmt.Sprintf(format, args...)}
}

// Covered is a file that a signature covers.
type Covered struct {
	Role   Role
	Name   string
	Digest digest.Digest
}
