// Package rawkey judges raw signatures: the bare output of a signing algorithm, as cosign sign-blob writes it without a bundle and openssl dgst
// -sign does. It knows nothing of bundles, logs and certificates; whose key it was is found by trying the anchors' keys.
package rawkey

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"

	"github.com/countersign-escrow/countersign/verifier/publickey"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// Kind is the name of this kind of signature.
const Kind = "raw"

// MediaType is that of raw signatures, in base64 or binary.
const MediaType = "application/vnd.countersign.raw-signature"

// The caps on what comes from outside.
const (
	MaxBytes   = 256 << 10 // of a signature file
	minRaw     = 64        // of a signature that Detect takes for one, bytes: an Ed25519 signature
	maxRaw     = 1024      // of a signature, bytes: one of RSA with 8192 bits
	maxRSABits = maxRaw * 8
	maxAnchors = 1000
	maxWhole   = 64 << 20 // of a file that is signed with pure Ed25519, bytes: it is held in memory
	maxHashed  = 2 << 30  // of bytes that are hashed to try Ed25519 keys, each of which needs a hash of its own
)

// Verifier judges raw signatures by the anchors that it was made with.
type Verifier struct {
	anchors []anchor.Anchor
	keys    []key
}

// key is one key, and all anchors that hold it.
type key struct {
	id      string
	public  crypto.PublicKey
	anchors []*anchor.Anchor
}

// New reads the keys of PUBLIC_KEY anchors. Anchors that cannot be read are left out, and named in the error.
func New(anchors []anchor.Anchor) (*Verifier, error) {
	v := &Verifier{anchors: append([]anchor.Anchor(nil), anchors...)}
	var bad []error
	at, taken := make(map[string]int), 0
	for i := range v.anchors {
		a := &v.anchors[i]
		if a.Kind != anchor.PublicKey || a.Purpose == anchor.Time {
			continue
		}
		public, id, err := parseKey(a.Material)
		if taken++; err == nil && taken > maxAnchors {
			err = fmt.Errorf("is left out: raw signatures name no key, and %d anchors are tried at most", maxAnchors)
		}
		if err != nil {
			bad = append(bad, fmt.Errorf("%s: %w", a.Name, err))
			continue
		}
		if _, ok := at[id]; !ok {
			at[id] = len(v.keys)
			v.keys = append(v.keys, key{id: id, public: public})
		}
		k := &v.keys[at[id]]
		k.anchors = append(k.anchors, a)
	}
	return v, errors.Join(bad...)
}

// parseKey reads a key, and leaves what raw signatures are not made with to the kinds that know better.
func parseKey(material string) (crypto.PublicKey, string, error) {
	public, err := publickey.Parse(material)
	if err != nil {
		return nil, "", err
	}
	switch k := public.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() > maxRSABits {
			return nil, "", fmt.Errorf("the RSA key has %d bits, %d at most", k.N.BitLen(), maxRSABits)
		}
	case *ecdsa.PublicKey:
		if len(hashes[k.Curve.Params().Name]) == 0 {
			return nil, "", fmt.Errorf("the key is on the curve %s: P-256, P-384 and P-521 are known", k.Curve.Params().Name)
		}
	case ed25519.PublicKey:
	default:
		return nil, "", fmt.Errorf("the key is a %T: ECDSA, Ed25519 and RSA are known", public)
	}
	id, err := publickey.ID(public)
	return public, id, err
}

// Prove judges a signature file over a file.
func (v *Verifier) Prove(ctx context.Context, content []byte, of proof.File) ([]proof.Proof, error) {
	raw, err := decode(content)
	if err != nil {
		return []proof.Proof{proof.Bad(Kind, "%v", err)}, nil
	}
	t := &trial{raw: raw, file: of, sums: map[crypto.Hash][]byte{crypto.SHA256: of.Digest.Bytes()}}
	for _, attempt := range attempts {
		for i := range v.keys {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			scheme, err := attempt(ctx, t, v.keys[i].public)
			if err != nil {
				return nil, err
			}
			if scheme != "" {
				return []proof.Proof{v.keys[i].proof(scheme)}, nil
			}
		}
	}
	return []proof.Proof{proof.Bad(Kind, "made by the key of no trust anchor (%d keys were tried): the file or the signature was changed, "+
		"or another key made it; a raw signature does not say which%s", len(v.keys), t.untried)}, nil
}

func (k *key) proof(scheme string) proof.Proof {
	p := proof.Proof{Kind: Kind, Anchors: append([]*anchor.Anchor(nil), k.anchors...), KeyID: k.id, Scope: "all of the file, by " + scheme}
	if r, ok := k.public.(*rsa.PublicKey); ok && r.N.BitLen() < proof.MinRSABits {
		p.Weak = []proof.Weakness{proof.ShortRSA}
	}
	return p
}
