// Package sshsig judges and makes SSH signatures (OpenSSH's PROTOCOL.sshsig, as ssh-keygen -Y sign writes them) by allowed-signers files.
// It knows nothing of agents and private key files, and nothing of what time it is: it reports when keys and certificates were good.
package sshsig

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// Kind is the name of this kind of signature.
const Kind = "ssh"

// MediaType is that of armoured SSH signatures.
const MediaType = "application/vnd.countersign.sshsig"

// The namespaces that are asked for here. A signature made for one purpose proves nothing for another.
const (
	NamespaceFile = "file" // of files, the namespace that OpenSSH's manual recommends for them
	NamespaceGit  = "git"  // of git's commits and tags
)

// The caps on what comes from outside.
const (
	MaxBytes       = 256 << 10 // of a signature file
	maxSignersText = 64 << 10  // of an allowed-signers file, bytes
	maxLines       = 256       // of an allowed-signers file
	maxListText    = 4 << 10   // of a line's principals or namespaces, bytes
	maxPrincipals  = 32        // of a certificate
	maxName        = 256       // of a principal of a certificate, bytes; longer ones match nothing
	maxShown       = 120       // of text from outside in a message, bytes
	maxProblem     = 480       // of a problem, bytes
)

// Verifier judges SSH signatures by the anchors that it was made with.
type Verifier struct {
	anchors     []anchor.Anchor
	keys        map[string][]entry // by the key in wire format
	authorities map[string][]entry // the same, of lines with cert-authority
}

// entry is a line of an anchor's allowed-signers file.
type entry struct {
	anchor *anchor.Anchor
	line   *line
}

// New reads the allowed-signers files of SSH anchors. Anchors that cannot be read are left out as a whole, and named in the error.
func New(anchors []anchor.Anchor) (*Verifier, error) {
	v := &Verifier{anchors: append([]anchor.Anchor(nil), anchors...), keys: map[string][]entry{}, authorities: map[string][]entry{}}
	var bad []error
	for i := range v.anchors {
		a := &v.anchors[i]
		if a.Kind != anchor.SSH || a.Purpose == anchor.Time {
			continue
		}
		lines, err := parseSigners(a.Material)
		if err != nil {
			bad = append(bad, fmt.Errorf("%s: %w", a.Name, err))
			continue
		}
		v.add(a, lines)
	}
	return v, errors.Join(bad...)
}

func (v *Verifier) add(a *anchor.Anchor, lines []*line) {
	for _, l := range lines {
		of := v.keys
		if l.authority {
			of = v.authorities
		}
		id := string(l.key.Marshal())
		of[id] = append(of[id], entry{a, l})
	}
}

// Prove judges a signature file over a file. The signature must have the namespace file.
func (v *Verifier) Prove(ctx context.Context, content []byte, of proof.File) ([]proof.Proof, error) {
	return v.ProveNamespace(ctx, content, of, NamespaceFile)
}

// ProveNamespace judges a signature over a file, or over an object of git, that was made for the namespace.
// Where several lines have the key, and differ in when it is good, there is one proof for each such time.
func (v *Verifier) ProveNamespace(ctx context.Context, content []byte, of proof.File, namespace string) ([]proof.Proof, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err := parse(content)
	if err != nil {
		return bad("%v", err), nil
	}
	if s.Namespace != namespace {
		return bad("the signature was made for the namespace %s, and %q is needed here: sign with ssh-keygen -Y sign -n %s", shown(s.Namespace), namespace,
			namespace), nil
	}
	matches, refusal := v.match(s, namespace)
	if len(matches) == 0 {
		return []proof.Proof{stranger(s, refusal)}, nil
	}
	signed, err := signedData(ctx, s, of)
	if err != nil {
		return nil, err
	}
	if err := s.key().Verify(signed, s.Signature.Signature); err != nil {
		return bad("the signature does not fit the file and the key %s: one of them was changed, or another file was signed (%v)", s.keyID(), err), nil
	}
	return s.proofs(matches), nil
}

func bad(format string, args ...any) []proof.Proof {
	return []proof.Proof{proof.Bad(Kind, format, args...)}
}

// stranger is the proof of a signature by a key that no line allows. What it says of its key is its own word.
func stranger(s *signature, refusal string) proof.Proof {
	p := bad("made by the key %s, by the signature's own word, which no trust anchor holds%s", s.keyID(), refusal)[0]
	p.KeyID = s.keyID()
	return p
}

// match returns the lines that allow the key of a signature; where there is none, why those with the key do not.
func (v *Verifier) match(s *signature, namespace string) (found []match, refusal string) {
	for _, e := range v.entries(s) {
		m, err := e.line.allow(s, namespace)
		if err != nil {
			refusal = fmt.Sprintf(" for this: line %d of %s has it, but %v", e.line.number, proof.Text(e.anchor.Name, maxShown), err)
			continue
		}
		m.anchor = e.anchor
		found = append(found, m)
	}
	return found, refusal
}

// entries returns the lines with the key, or with the authority of the certificate, of a signature: a certificate counts by its authority
// alone, and a bare key never by an authority's line.
func (v *Verifier) entries(s *signature) []entry {
	if s.cert != nil {
		return v.authorities[string(s.cert.SignatureKey.Marshal())]
	}
	return v.keys[string(s.PublicKey.Marshal())]
}

// match is an anchor that a signature's key matches, for whom and when.
type match struct {
	anchor *anchor.Anchor
	signer string
	life   proof.Life
}

// proofs gives one proof for each life of the key, of the anchors that have it.
func (s *signature) proofs(matches []match) (out []proof.Proof) {
	at := make(map[proof.Life]int)
	for _, m := range matches {
		i, ok := at[m.life]
		if !ok {
			i, at[m.life] = len(out), len(out)
			out = append(out, proof.Proof{Kind: Kind, KeyID: s.keyID(), Signer: m.signer, Life: m.life, Weak: s.weak(), Notes: s.notes(),
				Alternative: len(out) > 0, Scope: "all of the file, in the namespace " + s.Namespace})
		}
		p := &out[i]
		if n := len(p.Anchors); n == 0 || p.Anchors[n-1] != m.anchor {
			p.Anchors = append(p.Anchors, m.anchor)
		}
	}
	return out
}

// shown shows text from outside.
func shown(s string) string { return proof.Quoted(s, maxShown) }

func fingerprint(key ssh.PublicKey) string { return ssh.FingerprintSHA256(key) }
