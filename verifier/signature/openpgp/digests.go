package openpgp

import (
	"bytes"
	"hash"

	pgp "github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// digests hashes a document once for every way in which its signatures hash it.
type digests map[way]*digest

// way is how a document is hashed: version 6 puts salt before it, and texts have their line ends made CR LF.
type way struct {
	algorithm string
	text      bool
	salt      string
}

// digest holds the state of a hash, and where to write the document.
type digest struct {
	state, in hash.Hash
	nul       bool // there was a NUL byte
}

func wayOf(sig *packet.Signature) way {
	return way{sig.Hash.String(), sig.SigType == packet.SigTypeText, string(sig.Salt())}
}

func digestsFor(claims []claim) digests {
	d := digests{}
	for _, c := range claims {
		for _, k := range c.keys {
			if k.problem == "" && c.err == nil {
				d.add(c.sig)
			}
		}
	}
	return d
}

func (d digests) add(sig *packet.Signature) {
	h, err := sig.PrepareVerify()
	if err != nil || d[wayOf(sig)] != nil {
		return
	}
	in := h
	if sig.SigType == packet.SigTypeText {
		in = pgp.NewCanonicalTextHash(h)
	}
	d[wayOf(sig)] = &digest{state: h, in: in}
}

func (d digests) empty() bool { return len(d) == 0 }

// Write adds to all.
func (d digests) Write(b []byte) (int, error) {
	for _, one := range d {
		one.nul = one.nul || bytes.IndexByte(b, 0) >= 0
		one.in.Write(b)
	}
	return len(b), nil
}

// noText says whether a signature is one of a text, and the document is none. It leaves open which of the bytes that look like line ends
// are LF and which CR LF, which is nothing to a text and something else to a program.
func (d digests) noText(sig *packet.Signature) bool {
	return sig.SigType == packet.SigTypeText && d[wayOf(sig)].nul
}

// of returns a hash that a signature can be verified by, and that is nobody else's; nil if there is none.
func (d digests) of(sig *packet.Signature) hash.Hash {
	one := d[wayOf(sig)]
	if one == nil {
		return nil
	}
	state, ok := one.state.(hash.Cloner)
	if !ok {
		return nil
	}
	h, err := state.Clone()
	if err != nil {
		return nil
	}
	return h
}
