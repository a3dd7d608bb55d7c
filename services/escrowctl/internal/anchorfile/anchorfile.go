// Package anchorfile reads the files that trust anchors are made of, tells what they are, and lets no private key through. It knows
// nothing of whom an anchor belongs to or what it counts for.
package anchorfile

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/keyfile"
	"github.com/countersign-escrow/countersign/verifier/publickey"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/openpgp"
)

// Material is what a file holds, in the form of its kind.
type Material struct {
	Kind anchor.Kind
	Text string
	What string // for people, such as "an OpenPGP key ring"
}

const (
	pgpBlock = "PGP PUBLIC KEY BLOCK"
	pgpMark  = "-----BEGIN " + pgpBlock + "-----"
)

// Key reads a file with one key or key ring and tells its kind: a PEM public key, a public key of minisign or signify, a line as
// OpenSSH's .pub files have it, OpenPGP certificates.
func Key(path string) (Material, error) {
	b, err := Load(path)
	if err != nil {
		return Material{}, err
	}
	for _, read := range []func([]byte) (Material, bool, error){publicKey, openPGP, minisign, sshKey} {
		m, is, err := read(b)
		if is && err != nil {
			return m, fault.Invalidf(path, "%v", err)
		}
		if is {
			return m, nil
		}
	}
	return Material{}, unknown(path, b)
}

// unknown says what else a file may be.
func unknown(path string, b []byte) error {
	wrong := fault.Invalidf(path, "holds no public key of a kind that is known")
	switch {
	case bytes.Contains(b, []byte("BEGIN CERTIFICATE")):
		return wrong.WithAdvice("it has certificates: give --x509 %s", path)
	case bytes.Contains(b, []byte("trustedroot")):
		return wrong.WithAdvice("it looks like a Sigstore trusted root: give --sigstore-root %s", path)
	}
	return wrong.WithAdvice("known are PEM public keys, OpenPGP certificates, public keys of minisign and signify, and OpenSSH's .pub files")
}

// Load reads a file whole. One that holds a private key of any sort is refused.
func Load(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, anchor.MaxMaterial+1))
	switch {
	case err != nil:
		return nil, err
	case len(b) > anchor.MaxMaterial:
		return nil, fault.Exhaustedf(path, "has more than %d bytes", anchor.MaxMaterial)
	case keyfile.IsPrivate(b):
		return nil, fault.Invalidf(path, "holds a private key, which goes to nobody").WithAdvice("give the public one, usually %s.pub", strings.TrimSuffix(path, ".key"))
	}
	return b, nil
}

func publicKey(b []byte) (Material, bool, error) {
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "PUBLIC KEY" {
		return Material{}, false, nil
	}
	key, err := publickey.Parse(string(b))
	if err != nil {
		return Material{}, true, err
	}
	text, err := publickey.PEM(key)
	return Material{anchor.PublicKey, text, "a PEM public key"}, true, err
}

// OpenPGP reads certificates, armoured or binary.
func OpenPGP(path string) (Material, error) {
	b, err := Load(path)
	if err != nil {
		return Material{}, err
	}
	m, is, err := openPGP(b)
	if !is {
		return m, fault.Invalidf(path, "holds no OpenPGP certificate").WithAdvice("write one with: gpg --armor --export KEY")
	}
	return m, err
}

func openPGP(b []byte) (Material, bool, error) {
	if bytes.Contains(b, []byte(pgpMark)) {
		return Material{anchor.OpenPGP, string(b), "an OpenPGP key ring"}, true, nil
	}
	if !startsWithPublicKey(b) {
		return Material{}, false, nil
	}
	text, err := openpgp.ArmourKeys(b)
	return Material{anchor.OpenPGP, text, "a binary OpenPGP key ring"}, true, err
}

// startsWithPublicKey knows the tag of OpenPGP's public-key packets, 6, in both forms (RFC 9580, section 4.2).
func startsWithPublicKey(b []byte) bool {
	return len(b) > 2 && (b[0]&0xfc == 0x98 || b[0] == 0xc6)
}

// oneWord is what serves as a principal in a line of an allowed-signers file.
var oneWord = regexp.MustCompile(`^[A-Za-z0-9._+@-]{1,128}$`)

// sshKey makes an allowed-signers line of a public key: whoever has the key is named by its comment.
func sshKey(b []byte) (Material, bool, error) {
	key, comment, options, rest, err := ssh.ParseAuthorizedKey(b)
	if err != nil {
		return Material{}, false, nil
	}
	if len(options) > 0 || len(bytes.TrimSpace(rest)) > 0 {
		return Material{}, true, fmt.Errorf("has options or several lines: write an allowed-signers file and give --ssh-allowed-signers")
	}
	if !oneWord.MatchString(comment) {
		comment = "*"
	}
	return Material{anchor.SSH, comment + " " + string(ssh.MarshalAuthorizedKey(key)), "an OpenSSH public key"}, true, nil
}
