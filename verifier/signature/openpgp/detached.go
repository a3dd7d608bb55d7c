package openpgp

import (
	"context"
	"fmt"
	"io"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// DetectSignature says whether content is a signature file: one of armour, or a binary one.
func DetectSignature(content []byte) bool {
	if len(content) > MaxBytes || DetectClearsigned(content) {
		return false
	}
	sigs, err := readSignatures(content)
	return err == nil && len(sigs) > 0 && (sigs[0].err == nil || sigs[0].old)
}

// given is a signature as a file has it.
type given struct {
	sig *packet.Signature
	err error // why it is none that could be verified
	old bool  // it is one all the same
}

// readSignatures returns the signatures of a signature file, armoured or not. It has nothing else: a key beside a signature proves nothing of
// whose it is, and is refused so that nobody thinks it did.
func readSignatures(content []byte) (list []given, err error) {
	pieces := []block{{content: content}}
	if armoured(content) {
		if pieces, err = blocks(content); err != nil {
			return nil, err
		}
	}
	for _, piece := range pieces {
		if piece.label != "" && piece.label != "PGP SIGNATURE" {
			return nil, fmt.Errorf("it has a %.50q beside signatures: only signatures belong here, and a key among them would prove nothing", piece.label)
		}
		packets, err := split(piece.content, maxSignatures-len(list))
		if err != nil {
			return nil, err
		}
		for _, p := range packets {
			if p.Tag != tagSignature {
				return nil, fmt.Errorf("it has a packet of type %d: only signatures belong here, and a key among them would prove nothing", p.Tag)
			}
			sig, err := readSignature(p)
			list = append(list, given{sig, err, err != nil && refused(p.Contents) != nil && covers(signatureType(p.Contents))})
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("it has no signature")
	}
	return list, nil
}

// covers says whether a signature of that type is over a document.
func covers(t packet.SignatureType) bool { return t == packet.SigTypeBinary || t == packet.SigTypeText }

func (v *Verifier) detached(ctx context.Context, content []byte, of proof.File) ([]proof.Proof, error) {
	sigs, err := readSignatures(content)
	if err != nil {
		return bad("the OpenPGP signature file cannot be read: %v", err), nil
	}
	claims := v.claims(sigs)
	d := digestsFor(claims)
	if !d.empty() {
		err = of.Read(ctx, func(r io.Reader) error {
			_, err := io.Copy(d, r)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	return prove(claims, d, scope), nil
}

func scope(sig *packet.Signature) string {
	if sig.SigType == packet.SigTypeText {
		return "the file as a text: whether its lines end in LF or CR LF is not covered"
	}
	return "the file"
}
