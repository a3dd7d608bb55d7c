package openpgp

import (
	"errors"
	"fmt"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
)

// ring is the certificates of all anchors. It does not change once it is read.
type ring struct {
	order []*certificate // as they came
	keys  []*key         // all keys that may have signed something
}

// readRing reads the key rings among the anchors, and settles what each key may do.
func readRing(anchors []anchor.Anchor) (r ring, err error) {
	known := map[string]*certificate{}
	for _, a := range anchors {
		if a.Kind != anchor.OpenPGP || a.Purpose == anchor.Time {
			continue
		}
		held := a
		list, wrong := readCertificates(&held)
		if wrong != nil {
			err = errors.Join(err, fmt.Errorf("trust anchor %s: the OpenPGP key ring: %w", a.Name, wrong))
			continue
		}
		r.add(known, list)
	}
	for _, c := range r.order {
		r.keys = append(r.keys, c.settle()...)
	}
	return r, err
}

func (r *ring) add(known map[string]*certificate, list []*certificate) {
	for _, c := range list {
		id := string(c.primary.public.Fingerprint)
		if old := known[id]; old != nil {
			old.merge(c)
			continue
		}
		known[id] = c
		r.order = append(r.order, c)
	}
}

// by returns the keys that a signature says it is by.
func (r *ring) by(sig *packet.Signature) (list []*key) {
	for _, k := range r.keys {
		if sig.CheckKeyIdOrFingerprint(k.public) {
			list = append(list, k)
		}
	}
	return list
}

// readCertificates reads the key ring of one anchor.
func readCertificates(a *anchor.Anchor) ([]*certificate, error) {
	if len(a.Material) > anchor.MaxMaterial {
		return nil, fmt.Errorf("has %d bytes, %d at most", len(a.Material), anchor.MaxMaterial)
	}
	pieces, err := blocks([]byte(a.Material))
	if err != nil {
		return nil, err
	}
	if len(pieces) == 0 {
		return nil, fmt.Errorf("has no armour: export it with gpg --armor --export FINGERPRINT")
	}
	rd := reader{anchor: a}
	for i, piece := range pieces {
		if err := rd.block(piece); err != nil {
			return nil, fmt.Errorf("block %d: %w", i+1, err)
		}
	}
	return rd.list, nil
}
