// Package anchor holds trust anchors: the keys whose signatures count, and when they do.
// It knows nothing of any kind of signature.
package anchor

import (
	"crypto"
	"fmt"
	"time"
)

// Anchor is a key whose signatures count.
type Anchor struct {
	Name      string           // resource name
	KeyID     string           // SHA-256 of the SubjectPublicKeyInfo, hexadecimal
	PublicKey crypto.PublicKey //
	From      time.Time        // zero: since ever
	Until     time.Time        // zero: for ever; the first instant at which it counts no more
	Revoked   time.Time        // zero: not revoked
}

// Problem says why a signature by this key does not count at now; "" where it does.
func (a Anchor) Problem(now time.Time) string {
	switch {
	case !a.Revoked.IsZero() && !now.Before(a.Revoked):
		return fmt.Sprintf("the trust anchor %s was revoked at %s", a.Name, a.Revoked.UTC().Format(time.RFC3339))
	case !a.From.IsZero() && now.Before(a.From):
		return fmt.Sprintf("the trust anchor %s counts only from %s", a.Name, a.From.UTC().Format(time.RFC3339))
	case !a.Until.IsZero() && !now.Before(a.Until):
		return fmt.Sprintf("the trust anchor %s counted only until %s", a.Name, a.Until.UTC().Format(time.RFC3339))
	}
	return ""
}
