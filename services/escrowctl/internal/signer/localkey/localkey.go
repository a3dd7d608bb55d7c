// Package localkey makes signature files with keys that are at hand: in a file, or with an SSH agent. It knows nothing of what is signed,
// of whose keys count, or of key management systems, whose clients are large.
package localkey

import (
	"bytes"
	"context"
	"encoding/pem"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/keyfile"
)

// Key makes signature files.
type Key interface {
	// Sign makes a signature file over content. It may ask an SSH agent, and the person behind it, until the context ends.
	Sign(ctx context.Context, content []byte) (File, error)
}

// File is a signature file.
type File struct {
	Content   []byte
	MediaType string
}

// Ask gets the passphrase of a private key from whoever has it.
type Ask func(prompt string) ([]byte, error)

// Open reads a file with a private key, or with the public key of one that an SSH agent has. Passphrases are asked for when they are
// needed.
func Open(path string, ask Ask) (Key, error) {
	b, err := keyfile.Load(path)
	if err != nil {
		return nil, err
	}
	if public, _, _, _, err := ssh.ParseAuthorizedKey(b); err == nil {
		return agentKey{path: path, public: public}, nil
	}
	block, _ := pem.Decode(b)
	switch {
	case block == nil && bytes.HasPrefix(bytes.TrimSpace(b), []byte("ssh-")):
		return nil, fault.Invalidf(path, "looks like an SSH public key and cannot be read")
	case block == nil:
		return nil, fault.Invalidf(path, "holds no PEM block").WithAdvice("give a private key in PEM, an OpenSSH key, or the URI of a key in a KMS")
	case block.Type == opensshPEM:
		return sshKey(path, b, ask)
	case strings.HasPrefix(block.Type, "ENCRYPTED "):
		return encryptedKey(path, b, ask)
	}
	private, err := keyfile.Parse(b)
	if err != nil {
		return nil, fault.Invalidf(path, "%v", err)
	}
	return pemKey{private}, nil
}
