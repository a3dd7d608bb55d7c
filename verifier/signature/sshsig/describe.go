package sshsig

import (
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// maxDescription bounds what is said of an anchor, in bytes.
const maxDescription = 190

// Describe says in a line for people which keys an SSH anchor holds, and for whom.
func Describe(a anchor.Anchor) (string, error) {
	lines, err := parseSigners(a.Material)
	if err != nil {
		return "", err
	}
	out := ""
	for i, l := range lines {
		next := l.describe()
		if i > 0 {
			next = out + "; " + next
		}
		more := fmt.Sprintf("; %d more", len(lines)-i)
		if len(next)+len(more) > maxDescription {
			return strings.TrimPrefix(out+more, "; "), nil
		}
		out = next
	}
	return out, nil
}

func (l *line) describe() string {
	of := proof.Text(l.names, 60) + " "
	if l.authority {
		of += "by authority "
	}
	return of + strings.ToUpper(keyName(l.key)) + " " + fingerprint(l.key)
}

// keyName is the short name of a key's type, as ssh-keygen -l has it in capitals.
func keyName(key ssh.PublicKey) string {
	switch key.Type() {
	case ssh.KeyAlgoED25519:
		return "ed25519"
	case ssh.KeyAlgoRSA:
		return "rsa"
	case ssh.KeyAlgoSKED25519:
		return "ed25519-sk"
	case ssh.KeyAlgoSKECDSA256:
		return "ecdsa-sk"
	default:
		return "ecdsa"
	}
}
