// Package anchor holds trust anchors: the keys, certificates and identities whose signatures count, for what, and when.
// It knows nothing of how a signature is checked: what an anchor holds is read by the kinds of signature that go by it.
package anchor

import (
	"fmt"
	"time"
)

// Kind says what an anchor holds.
type Kind string

// The kinds, each with the form of its Material.
const (
	// PublicKey is one key: a PEM block PUBLIC KEY (RFC 5280 SubjectPublicKeyInfo).
	PublicKey Kind = "PUBLIC_KEY"
	// OpenPGP is a key ring of certificates (transferable public keys, RFC 9580), armoured.
	OpenPGP Kind = "OPENPGP"
	// SSH is an allowed-signers file (ssh-keygen(1), ALLOWED SIGNERS).
	SSH Kind = "SSH"
	// X509 is certificates, and whose signatures below them count: Certificates as JSON.
	X509 Kind = "X509"
	// SigstoreIdentity is who a certificate of a Sigstore authority speaks for: Identity as JSON.
	SigstoreIdentity Kind = "SIGSTORE_IDENTITY"
	// SigstoreRoot is a Sigstore trusted root (trusted_root.json): the authorities, logs and time-stamping authorities that
	// the owner's Sigstore identities and bundles are judged by.
	SigstoreRoot Kind = "SIGSTORE_ROOT"
	// Minisign is a public key of minisign or signify, as their .pub files have it.
	Minisign Kind = "MINISIGN"
)

// Purpose says what an anchor's signatures count for.
type Purpose string

// The purposes.
const (
	Release  Purpose = "RELEASE"  // the manifest and every file of a release
	Source   Purpose = "SOURCE"   // the sources alone, as of those who write them elsewhere
	Artifact Purpose = "ARTIFACT" // the shipped files alone, as of a code-signing authority
	Time     Purpose = "TIME"     // time stamps in other signatures
)

// Unsafe lists what an anchor's owner allows although it is weak.
type Unsafe struct {
	MD5      bool `json:"md5Unsafe,omitempty"`
	SHA1     bool `json:"sha1Unsafe,omitempty"`     // outside git
	ShortRSA bool `json:"shortRsaUnsafe,omitempty"` // under 2048 bits
}

// Anchor is something whose signatures count.
type Anchor struct {
	Name        string    // resource name
	Kind        Kind      //
	Material    string    // what it holds, in the form of its kind
	Purpose     Purpose   //
	From        time.Time // zero: since ever
	Until       time.Time // zero: for ever; the first instant at which it counts no more
	Revoked     time.Time // zero: not revoked
	Compromised bool      // revoked because somebody else may have the key: nothing that it ever signed counts
	Unsafe      Unsafe
}

// Problem says why a signature that was made at a time does not count; "" where it does.
func (a *Anchor) Problem(at time.Time) string {
	switch {
	case a.Compromised:
		return fmt.Sprintf("the trust anchor %s is compromised, revoked at %s: nothing that it signed counts", a.Name, stamp(a.Revoked))
	case !a.Revoked.IsZero() && !at.Before(a.Revoked):
		return fmt.Sprintf("the trust anchor %s was revoked at %s", a.Name, stamp(a.Revoked))
	case !a.From.IsZero() && at.Before(a.From):
		return fmt.Sprintf("the trust anchor %s counts only from %s, and this was made at %s or before: register it with an earlier begin if it was good then",
			a.Name, stamp(a.From), stamp(at))
	case !a.Until.IsZero() && !at.Before(a.Until):
		return fmt.Sprintf("the trust anchor %s counted only until %s", a.Name, stamp(a.Until))
	}
	return ""
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
