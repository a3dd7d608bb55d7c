package openpgp

import (
	"fmt"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
)

// reader collects the packets of key rings into certificates (RFC 9580, section 10.1). Signatures by others, which say nothing here, and
// what it cannot read are left out; a revocation never is.
type reader struct {
	anchor  *anchor.Anchor
	list    []*certificate
	packets int
	// selfSignatures are those that were kept.
	selfSignatures int
	// What signatures belong to; both nil for what is left out: user attributes, subkeys of unknown algorithms.
	user          *user
	subkey        *key
	unknownSubkey bool
}

func (r *reader) current(u *user, subkey *key, unknown bool) {
	r.user, r.subkey, r.unknownSubkey = u, subkey, unknown
}

func (r *reader) block(piece block) error {
	if piece.label == "PGP PRIVATE KEY BLOCK" {
		return errPrivate
	}
	if piece.label != "PGP PUBLIC KEY BLOCK" {
		return fmt.Errorf("is a %.50q, not a PGP PUBLIC KEY BLOCK", piece.label)
	}
	packets, err := split(piece.content, maxPackets-r.packets)
	if err != nil {
		return err
	}
	if len(packets) == 0 || packets[0].Tag != tagPublicKey && packets[0].Tag != tagSecretKey {
		return fmt.Errorf("does not begin with a key; a revocation certificate must be imported into its certificate first, and that be exported")
	}
	r.packets += len(packets)
	for i, p := range packets {
		if err := r.packet(p); err != nil {
			return fmt.Errorf("packet %d: %w", i+1, err)
		}
	}
	return nil
}

var errPrivate = fmt.Errorf("holds a private key, which must not leave its owner: revoke it, and export only public keys (gpg --export)")

func (r *reader) packet(p *packet.OpaquePacket) error {
	switch p.Tag {
	case tagPublicKey:
		return r.primary(p)
	case tagPublicSubkey:
		return r.sub(p)
	case tagUserID:
		return r.id(p)
	case tagSignature:
		return r.signature(p)
	case tagSecretKey, tagSecretSubkey:
		return errPrivate
	case tagUserAttribute:
		r.current(nil, nil, false)
	case tagMarker, tagTrust, tagPadding:
	default:
		if p.Tag < tagNonCritical {
			return fmt.Errorf("is of type %d, which has no place in a key ring", p.Tag)
		}
	}
	return nil
}

func (r *reader) certificate() *certificate { return r.list[len(r.list)-1] }

func (r *reader) primary(p *packet.OpaquePacket) error {
	if len(r.list) == maxCertificates {
		return fmt.Errorf("more than %d certificates", maxCertificates)
	}
	public, err := readKey(p)
	if err != nil {
		return err
	}
	if !public.CanSign() {
		return fmt.Errorf("a certificate whose key cannot sign")
	}
	r.list = append(r.list, &certificate{primary: &key{public: public, anchors: []*anchor.Anchor{r.anchor}}})
	r.current(nil, nil, false)
	return nil
}

func (r *reader) sub(p *packet.OpaquePacket) error {
	c := r.certificate()
	if len(c.subkeys) == maxSubkeys {
		return fmt.Errorf("more than %d subkeys", maxSubkeys)
	}
	public, err := readKey(p)
	if err != nil || public.Version != c.primary.public.Version {
		r.current(nil, nil, true)
		return nil
	}
	r.current(nil, &key{public: public, anchors: []*anchor.Anchor{r.anchor}}, false)
	c.subkeys = append(c.subkeys, r.subkey)
	return nil
}

func (r *reader) id(p *packet.OpaquePacket) error {
	c := r.certificate()
	if len(c.users) == maxUserIDs {
		return fmt.Errorf("more than %d user ids", maxUserIDs)
	}
	if n := len(p.Contents); n > maxUserID {
		return fmt.Errorf("a user id of %d bytes, %d at most", n, maxUserID)
	}
	r.current(&user{id: string(p.Contents)}, nil, false)
	c.users = append(c.users, r.user)
	return nil
}

func readKey(p *packet.OpaquePacket) (*packet.PublicKey, error) {
	if len(p.Contents) == 0 || p.Contents[0] != 4 && p.Contents[0] != 6 {
		return nil, fmt.Errorf("a certificate of another version than 4 and 6")
	}
	read, err := p.Parse()
	if err != nil {
		return nil, fmt.Errorf("the key cannot be read: %.200q", err.Error())
	}
	public, ok := read.(*packet.PublicKey)
	if !ok {
		return nil, fmt.Errorf("no public key")
	}
	return public, nil
}

func (r *reader) signature(p *packet.OpaquePacket) error {
	c, kind := r.certificate(), signatureType(p.Contents)
	sig, err := readSignature(p)
	if err == nil && sig.Version != c.primary.public.Version {
		err = fmt.Errorf("is of version %d, the key of version %d", sig.Version, c.primary.public.Version)
	}
	revocation := kind == packet.SigTypeKeyRevocation || kind == packet.SigTypeSubkeyRevocation
	if !revocation && (err != nil || !sig.CheckKeyIdOrFingerprint(c.primary.public)) {
		return nil
	}
	if r.selfSignatures++; r.selfSignatures > maxSelfSignatures {
		return fmt.Errorf("more than %d self-signatures", maxSelfSignatures)
	}
	if revocation {
		return r.revocation(kind, sig, err)
	}
	r.attach(c, sig)
	return nil
}

// revocation notes a revocation of a key, whether or not it can be read.
func (r *reader) revocation(kind packet.SignatureType, sig *packet.Signature, err error) error {
	switch {
	case kind == packet.SigTypeKeyRevocation:
		r.certificate().primary.revoke(sig, err)
	case r.subkey != nil:
		r.subkey.revoke(sig, err)
	case !r.unknownSubkey:
		return fmt.Errorf("revokes a subkey, and follows none: import it, and export the certificate anew")
	}
	return nil
}

// attach puts a self-signature where it belongs. One that stands in a wrong place says nothing.
func (r *reader) attach(c *certificate, sig *packet.Signature) {
	switch sig.SigType {
	case packet.SigTypeDirectSignature:
		c.direct = append(c.direct, sig)
	case packet.SigTypeSubkeyBinding:
		if r.subkey != nil {
			r.subkey.bindings = append(r.subkey.bindings, sig)
		}
	case packet.SigTypeGenericCert, packet.SigTypePersonaCert, packet.SigTypeCasualCert, packet.SigTypePositiveCert:
		if r.user != nil {
			r.user.certifications = append(r.user.certifications, sig)
		}
	case packet.SigTypeCertificationRevocation:
		if r.user != nil {
			r.user.revocations = append(r.user.revocations, sig)
		}
	}
}
