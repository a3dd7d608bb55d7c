package anchormsg

import (
	"strings"

	"github.com/countersign-escrow/countersign/escrow/fault"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
)

// Material is what an anchor holds, and in which field of the message it stands.
type Material struct {
	Kind  anchor.Kind
	Text  string // in the form of the kind
	Field string // such as openpgp_keyring
}

// text is the field of a kind whose material is the field as it is.
type text struct {
	kind  anchor.Kind
	field string
	get   func(*pb.TrustAnchor) string
	set   func(*pb.TrustAnchor, string)
}

var texts = []text{
	{anchor.PublicKey, "public_key_pem", (*pb.TrustAnchor).GetPublicKeyPem, func(m *pb.TrustAnchor, s string) { m.PublicKeyPem = s }},
	{anchor.OpenPGP, "openpgp_keyring", (*pb.TrustAnchor).GetOpenpgpKeyring, func(m *pb.TrustAnchor, s string) { m.OpenpgpKeyring = s }},
	{anchor.SSH, "ssh_allowed_signers", (*pb.TrustAnchor).GetSshAllowedSigners, func(m *pb.TrustAnchor, s string) { m.SshAllowedSigners = s }},
	{anchor.SigstoreRoot, "sigstore_trusted_root", (*pb.TrustAnchor).GetSigstoreTrustedRoot,
		func(m *pb.TrustAnchor, s string) { m.SigstoreTrustedRoot = s }},
	{anchor.Minisign, "minisign_public_key", (*pb.TrustAnchor).GetMinisignPublicKey, func(m *pb.TrustAnchor, s string) { m.MinisignPublicKey = s }},
}

const (
	fieldX509     = "x509_certificates"
	fieldIdentity = "sigstore_identity"
)

// ReadMaterial returns the one thing that a message holds. None, or several, is a fault that names the fields.
func ReadMaterial(in *pb.TrustAnchor) (Material, error) {
	var given []Material
	for _, f := range texts {
		if s := f.get(in); s != "" {
			given = append(given, Material{f.kind, s, f.field})
		}
	}
	if c := in.GetX509Certificates(); c != nil {
		s, err := anchor.Material(anchor.Certificates{PEM: c.GetPem(), Subject: name(c.GetSubject())})
		if err != nil {
			return Material{}, err
		}
		given = append(given, Material{anchor.X509, s, fieldX509})
	}
	if i := in.GetSigstoreIdentity(); i != nil {
		s, err := anchor.Material(anchor.Identity{Issuer: name(i.GetIssuer()), Subject: name(i.GetSubject()), TrustedRoot: i.GetTrustedRoot()})
		if err != nil {
			return Material{}, err
		}
		given = append(given, Material{anchor.SigstoreIdentity, s, fieldIdentity})
	}
	return one(given)
}

func one(given []Material) (Material, error) {
	const field = "trust_anchor"
	switch len(given) {
	case 1:
		return given[0], nil
	case 0:
		return Material{}, fault.Invalidf(field, "holds nothing: give one of %s", strings.Join(fields(), ", "))
	}
	names := make([]string, len(given))
	for i, m := range given {
		names[i] = m.Field
	}
	return Material{}, fault.Invalidf(field, "holds %s", strings.Join(names, " and ")).WithAdvice("register one trust anchor for each")
}

func fields() []string {
	var names []string
	for _, f := range texts {
		names = append(names, f.field)
	}
	return append(names, fieldX509, fieldIdentity)
}

// PutMaterial writes what an anchor holds into the field of its kind. What cannot be read is left out.
func PutMaterial(out *pb.TrustAnchor, kind anchor.Kind, material string) {
	for _, f := range texts {
		if f.kind == kind {
			f.set(out, material)
		}
	}
	switch kind {
	case anchor.X509:
		if c, err := anchor.ParseCertificates(material); err == nil {
			out.X509Certificates = &pb.X509Certificates{Pem: c.PEM, Subject: nameMatch(c.Subject)}
		}
	case anchor.SigstoreIdentity:
		if i, err := anchor.ParseIdentity(material); err == nil {
			out.SigstoreIdentity = &pb.SigstoreIdentity{Issuer: nameMatch(i.Issuer), Subject: nameMatch(i.Subject), TrustedRoot: i.TrustedRoot}
		}
	}
}

func name(in *pb.NameMatch) anchor.Name {
	return anchor.Name{Exact: in.GetExact(), Pattern: in.GetPattern()}
}

func nameMatch(n anchor.Name) *pb.NameMatch {
	if n.IsZero() {
		return nil
	}
	return &pb.NameMatch{Exact: n.Exact, Pattern: n.Pattern}
}
