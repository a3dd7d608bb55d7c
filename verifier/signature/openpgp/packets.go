package openpgp

import (
	"bytes"
	"fmt"
	"io"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Packet types (RFC 9580, section 5).
const (
	tagSignature     = 2
	tagSecretKey     = 5
	tagPublicKey     = 6
	tagSecretSubkey  = 7
	tagMarker        = 10
	tagTrust         = 12
	tagUserID        = 13
	tagPublicSubkey  = 14
	tagUserAttribute = 17
	tagPadding       = 21
	tagNonCritical   = 40
)

// split returns the packets of b, unread. Nothing is decompressed or decrypted.
func split(b []byte, most int) (list []*packet.OpaquePacket, err error) {
	r := packet.NewOpaqueReader(bytes.NewReader(b))
	for {
		p, err := r.Next()
		switch {
		case err == io.EOF:
			return list, nil
		case err != nil:
			return nil, fmt.Errorf("packet %d: %.100q", len(list)+1, err.Error())
		case len(list) == most:
			return nil, fmt.Errorf("more than %d packets", most)
		}
		list = append(list, p)
	}
}

// readSignature reads a signature packet, with the reason in words where it is of a form that is refused.
func readSignature(p *packet.OpaquePacket) (*packet.Signature, error) {
	if err := refused(p.Contents); err != nil {
		return nil, err
	}
	if err := embedded(p.Contents); err != nil {
		return nil, err
	}
	read, err := p.Parse()
	if err != nil {
		return nil, fmt.Errorf("the signature cannot be read: %.200q", err.Error())
	}
	sig, ok := read.(*packet.Signature)
	if !ok {
		return nil, fmt.Errorf("no signature")
	}
	return sig, nil
}

// refused says why the signature packet of that content is not even tried.
func refused(b []byte) error {
	const hashAt = 3 // after version, type and key algorithm
	if len(b) <= hashAt {
		return errCutOff
	}
	switch version := b[0]; version {
	case 4, 6:
	case 2, 3:
		return fmt.Errorf("the signature is of version %d, which is obsolete: sign with a key and a program of this century", version)
	default:
		return fmt.Errorf("the signature is of version %d, which is not supported: 4 and 6 are", version)
	}
	if name := brokenHashes[b[hashAt]]; name != "" {
		return fmt.Errorf("the signature is by %s, which is broken: sign with SHA-256 or better", name)
	}
	return nil
}

// brokenHashes are refused altogether, by their number (RFC 9580, section 9.5).
var brokenHashes = map[byte]string{1: "MD5", 3: "RIPEMD-160"}

// signatureType returns the type of a signature packet of any version, read or not.
func signatureType(b []byte) packet.SignatureType {
	switch {
	case len(b) > 1 && b[0] >= 4:
		return packet.SignatureType(b[1])
	case len(b) > 2: // version 3 has the length of what is hashed first
		return packet.SignatureType(b[2])
	default:
		return 0
	}
}

// critical returns the name of a notation that must be understood, and is not.
func critical(sig *packet.Signature) string {
	for _, n := range sig.Notations {
		if n.IsCritical {
			return n.Name
		}
	}
	return ""
}
