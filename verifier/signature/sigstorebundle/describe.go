package sigstorebundle

import (
	"fmt"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

const maxDescription = 190 // bytes

// Describe says in a line what an anchor of the kinds PublicKey, SigstoreIdentity or SigstoreRoot holds.
func Describe(a anchor.Anchor) (string, error) {
	switch a.Kind {
	case anchor.PublicKey:
		key, err := readKey(a.Material)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%s, SHA-256 of the key %s", algorithm(key), keyID(key)), nil
	case anchor.SigstoreIdentity:
		i, err := anchor.ParseIdentity(a.Material)
		if err != nil {
			return "", err
		}
		return proof.Text(fmt.Sprintf("issuer %s, subject %s", i.Issuer, i.Subject), maxDescription), nil
	case anchor.SigstoreRoot:
		if _, err := newRoot(&a); err != nil {
			return "", err
		}
		p, err := parseRoot(a.Material)
		if err != nil {
			return "", err
		}
		return proof.Text(summary(p), maxDescription), nil
	}
	return "", fmt.Errorf("no anchor of the kind %q is held here", a.Kind)
}
