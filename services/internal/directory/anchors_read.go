package directory

import (
	"crypto/rsa"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/anchormsg"
	"github.com/countersign-escrow/countersign/services/internal/anchorpb"
	"github.com/countersign-escrow/countersign/services/internal/ca"
	"github.com/countersign-escrow/countersign/services/internal/rpc"
	"github.com/countersign-escrow/countersign/verifier/publickey"
	"github.com/countersign-escrow/countersign/verifier/signature"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// maxDescription bounds the line that says what an anchor holds, in bytes.
const maxDescription = 500

// The sizes of RSA keys, in bits. A larger one costs much time for every signature.
const (
	shortestRSA = 1024
	longestRSA  = 16384
)

// holders are the kinds of organization that sign for a purpose.
var holders = map[catalog.Purpose]catalog.Kind{
	catalog.PurposeRelease:  catalog.Vendor,
	catalog.PurposeSource:   catalog.Vendor,
	catalog.PurposeArtifact: catalog.Vendor,
	catalog.PurposeTime:     catalog.Vendor,
	catalog.PurposeRebuild:  catalog.Evaluator,
}

func (s *Server) readAnchor(org resource.Organization, kind catalog.Kind, in *pb.TrustAnchor) (*catalog.TrustAnchor, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	a := &catalog.TrustAnchor{ID: id.String(), Organization: org, Created: s.now()}
	if a.Purpose, err = readPurpose(kind, in.GetPurpose()); err != nil {
		return nil, err
	}
	if a.Product, err = readAnchorProduct(org, a.Purpose, in.GetProduct()); err != nil {
		return nil, err
	}
	a.Unsafe = catalog.UnsafeAlgorithms(anchormsg.Unsafe(in.GetUnsafe()))
	if a.Purpose == catalog.PurposeRebuild && a.Unsafe != (catalog.UnsafeAlgorithms{}) {
		return nil, fault.Invalidf("trust_anchor.unsafe", "is not for the purpose REBUILD: findings are signed with ECDSA P-256 and SHA-256 only")
	}
	if a.From, a.Until, err = readTerm(in, a.Created); err != nil {
		return nil, err
	}
	return a, readMaterial(a, in)
}

func readPurpose(kind catalog.Kind, in pb.TrustAnchorPurpose) (catalog.Purpose, error) {
	const field = "trust_anchor.purpose"
	purpose := anchorpb.Purpose(in)
	if purpose == "" {
		return "", fault.Invalidf(field, "must be RELEASE, SOURCE, ARTIFACT, TIME or REBUILD")
	}
	if want := holders[purpose]; want != kind {
		return "", fault.Invalidf(field, "%s is for organizations of kind %s, yours is of kind %s", purpose, want, kind)
	}
	return purpose, nil
}

func readAnchorProduct(org resource.Organization, purpose catalog.Purpose, name string) (*resource.Product, error) {
	const field = "trust_anchor.product"
	if name == "" {
		return nil, nil
	}
	product, err := rpc.Name(field, name, resource.ParseProduct)
	if err != nil {
		return nil, err
	}
	if purpose == catalog.PurposeRebuild {
		return nil, fault.Invalidf(field, "is not for anchors of purpose REBUILD")
	}
	if product.Vendor != org {
		return nil, fault.Invalidf(field, "must be a product of %s", org)
	}
	return &product, nil
}

// readMaterial reads what the anchor holds, and what can be said of it.
func readMaterial(a *catalog.TrustAnchor, in *pb.TrustAnchor) error {
	m, err := anchormsg.ReadMaterial(in)
	if err != nil {
		return err
	}
	field := "trust_anchor." + m.Field
	if err := suits(a.Purpose, m); err != nil {
		return err
	}
	if err := checkMaterial(field, m); err != nil {
		return err
	}
	if m.Kind == anchor.PublicKey {
		if m.Text, a.KeyID, err = readKey(a, m.Text); err != nil {
			return err
		}
	}
	a.Kind, a.Material = catalog.AnchorKind(m.Kind), m.Text
	if a.Purpose == catalog.PurposeRebuild {
		return nil // no signature over a release is judged by it
	}
	judged := anchorpb.Anchor(a)
	if err := signature.CheckAnchor(judged); err != nil {
		return fault.Invalidf(field, "%v", err).WithAdvice("%s", forms[m.Kind])
	}
	a.Description = oneLine(signature.Describe(judged), maxDescription)
	return nil
}

// forms says of each kind what a good anchor is.
var forms = map[anchor.Kind]string{
	anchor.PublicKey:        "give one PEM block PUBLIC KEY",
	anchor.OpenPGP:          "give armoured certificates, as gpg --armor --export writes them",
	anchor.SSH:              "give lines of an allowed-signers file: principals, options, key type, key (ssh-keygen(1), ALLOWED SIGNERS)",
	anchor.X509:             "give PEM blocks CERTIFICATE, and with an authority's certificate also the subject that must have signed",
	anchor.SigstoreIdentity: "give issuer and subject, each either exact or as a pattern",
	anchor.SigstoreRoot:     "give a trusted_root.json, as cosign trusted-root create or the authority's TUF repository has it",
	anchor.Minisign:         "give a .pub file of minisign or signify",
}

// suits says which purposes a kind is for.
func suits(purpose catalog.Purpose, m anchormsg.Material) error {
	const field = "trust_anchor.purpose"
	switch {
	case purpose == catalog.PurposeRebuild && m.Kind != anchor.PublicKey:
		return fault.Invalidf(field, "REBUILD is for public_key_pem only, not for %s", m.Field).
			WithAdvice("the purpose REBUILD needs ECDSA P-256: stock verifiers check statements with such keys only")
	case purpose == catalog.PurposeTime && m.Kind != anchor.X509:
		return fault.Invalidf(field, "TIME is for x509_certificates only, not for %s", m.Field).
			WithAdvice("give the certificates of the time-stamping authority; those of Sigstore bundles stand in the trusted root")
	case m.Kind == anchor.SigstoreRoot && purpose != catalog.PurposeRelease:
		return fault.Invalidf(field, "must be RELEASE for a trusted root, is %s", purpose).
			WithAdvice("what counts for what is said by the Sigstore identities that are judged by the root")
	}
	return nil
}

// checkMaterial refuses what no kind may hold.
func checkMaterial(field string, m anchormsg.Material) error {
	if n := len(m.Text); n > anchor.MaxMaterial {
		return fault.Exhaustedf(field, "has %d bytes, %d at most", n, anchor.MaxMaterial)
	}
	if strings.ContainsRune(m.Text, 0) {
		return fault.Invalidf(field, "is no text: it has a zero byte").WithAdvice("%s", forms[m.Kind])
	}
	secret := strings.Contains(m.Text, "PRIVATE KEY") || m.Kind == anchor.Minisign && strings.Contains(m.Text, "secret key")
	if secret {
		return fault.Invalidf(field, "has a private key in it").
			WithAdvice("give the public key only; what was sent is not kept, but think of whether the key is still secret")
	}
	return nil
}

// readKey returns the key in its one canonical form, and its id.
func readKey(a *catalog.TrustAnchor, in string) (keyPEM, id string, err error) {
	const field = "trust_anchor.public_key_pem"
	key, err := publickey.Parse(in)
	if err != nil {
		return "", "", fault.Invalidf(field, "%v", err)
	}
	if k, isRSA := key.(*rsa.PublicKey); isRSA && a.Purpose != catalog.PurposeRebuild {
		err = checkRSA(field, k, a.Unsafe)
	} else if problem := ca.CheckKey(key); problem != nil {
		err = fault.Invalidf(field, "%v", problem)
	}
	if err != nil {
		return "", "", err
	}
	if _, err := publickey.P256(key); err != nil && a.Purpose == catalog.PurposeRebuild {
		return "", "", fault.Invalidf(field, "%v", err).
			WithAdvice("the purpose REBUILD needs ECDSA P-256: stock verifiers check statements with such keys only")
	}
	if keyPEM, err = publickey.PEM(key); err != nil {
		return "", "", err
	}
	id, err = publickey.ID(key)
	return keyPEM, id, err
}

func checkRSA(field string, key *rsa.PublicKey, unsafe catalog.UnsafeAlgorithms) error {
	switch n := key.N.BitLen(); {
	case n > longestRSA || n < shortestRSA:
		return fault.Invalidf(field, "is an RSA key of %d bits, must have %d to %d", n, proof.MinRSABits, longestRSA)
	case n < proof.MinRSABits && !unsafe.ShortRSA:
		return fault.Invalidf(field, "is an RSA key of %d bits, must have %d at least", n, proof.MinRSABits).
			WithAdvice("sign with a longer key, or allow this one by unsafe.short_rsa_unsafe")
	}
	return nil
}

func readTerm(in *pb.TrustAnchor, now time.Time) (from, until time.Time, err error) {
	if from, err = rpc.Time("trust_anchor.valid_from", in.GetValidFrom()); err != nil {
		return from, until, err
	}
	if from.IsZero() {
		from = now
	}
	if until, err = rpc.Time("trust_anchor.valid_until", in.GetValidUntil()); err != nil {
		return from, until, err
	}
	if !until.IsZero() && !until.After(from) {
		return from, until, fault.Invalidf("trust_anchor.valid_until", "must be after valid_from, %s", from.Format(time.RFC3339))
	}
	return from, until, nil
}

// oneLine makes a text fit to be shown in a line.
func oneLine(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most-len("…")], "") + "…"
	}
	return s
}
