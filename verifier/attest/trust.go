package attest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"net/url"
	"time"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	prototrust "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/sigstore-go/pkg/root"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/verifier/publickey"
)

// Trust is what verifiers are told to trust beside the key of a statement.
type Trust struct {
	Logs        []TrustedLog
	Authorities []TrustedAuthority
}

// TrustedLog is a log and the period in which its key counts.
type TrustedLog struct {
	Origin      string // the log's host name
	Key         ed25519.PublicKey
	From, Until time.Time // zero Until: no end
}

// TrustedAuthority is a time-stamp authority and the period in which its stamps count.
type TrustedAuthority struct {
	Chain       []*x509.Certificate // leaf first, root last
	From, Until time.Time           // zero From: the leaf's; zero Until: no end beside the certificates'
}

const maxTrustedRootBytes = 1 << 20

// TrustedRoot writes trusted_root.json, the file in which Sigstore verifiers look for logs and time-stamp authorities.
func TrustedRoot(t Trust) ([]byte, error) {
	out := &prototrust.TrustedRoot{MediaType: root.TrustedRootMediaType01}
	for _, l := range t.Logs {
		log, err := trustedLog(l)
		if err != nil {
			return nil, err
		}
		out.Tlogs = append(out.Tlogs, log)
	}
	for _, a := range t.Authorities {
		authority, err := trustedAuthority(a)
		if err != nil {
			return nil, err
		}
		out.TimestampAuthorities = append(out.TimestampAuthorities, authority)
	}
	return marshal(out)
}

func trustedLog(l TrustedLog) (*prototrust.TransparencyLogInstance, error) {
	if len(l.Key) != ed25519.PublicKeySize {
		return nil, fault.Invalidf("log key", "of %s must be an Ed25519 public key", l.Origin)
	}
	_, id, err := note.KeyHash(l.Origin, l.Key)
	if err != nil {
		return nil, fault.Invalidf("log key", "%v", err)
	}
	der, err := publickey.DER(l.Key)
	if err != nil {
		return nil, err
	}
	return &prototrust.TransparencyLogInstance{
		BaseUrl:       "https://" + l.Origin,
		HashAlgorithm: protocommon.HashAlgorithm_SHA2_256,
		PublicKey: &protocommon.PublicKey{
			RawBytes:   der,
			KeyDetails: protocommon.PublicKeyDetails_PKIX_ED25519,
			ValidFor:   period(l.From, l.Until),
		},
		LogId: &protocommon.LogId{KeyId: id},
	}, nil
}

func trustedAuthority(a TrustedAuthority) (*prototrust.CertificateAuthority, error) {
	if err := checkTimestampChain(a.Chain); err != nil {
		return nil, err
	}
	from := a.From
	if from.IsZero() {
		from = a.Chain[0].NotBefore
	}
	subject := a.Chain[0].Subject
	out := &prototrust.CertificateAuthority{
		Subject:   &protocommon.DistinguishedName{CommonName: subject.CommonName},
		CertChain: new(protocommon.X509CertificateChain),
		ValidFor:  period(from, a.Until),
	}
	if len(subject.Organization) > 0 {
		out.Subject.Organization = subject.Organization[0]
	}
	for _, c := range a.Chain {
		out.CertChain.Certificates = append(out.CertChain.Certificates, &protocommon.X509Certificate{RawBytes: c.Raw})
	}
	return out, nil
}

func period(from, until time.Time) *protocommon.TimeRange {
	p := &protocommon.TimeRange{Start: timestamppb.New(from)}
	if !until.IsZero() {
		p.End = timestamppb.New(until)
	}
	return p
}

// parseTrustedRoot reads trusted_root.json strictly.
func parseTrustedRoot(b []byte) (*root.TrustedRoot, error) {
	if len(b) > maxTrustedRootBytes {
		return nil, fault.Exhaustedf("trusted root", "has %d bytes, %d at most", len(b), maxTrustedRootBytes)
	}
	var p prototrust.TrustedRoot
	if err := protojson.Unmarshal(b, &p); err != nil {
		return nil, fault.Invalidf("trusted root", "%v", err)
	}
	out, err := root.NewTrustedRootFromProtobuf(&p)
	if err != nil {
		return nil, fault.Invalidf("trusted root", "%v", err)
	}
	return out, nil
}

// logOf finds the log with that id and returns its host name and key, when the trusted root agrees with itself: the id must be
// the hash of host name and key.
func logOf(trusted *root.TrustedRoot, id []byte) (*root.TransparencyLog, string, error) {
	for _, l := range trusted.RekorLogs() {
		if !bytes.Equal(l.ID, id) {
			continue
		}
		base, err := url.Parse(l.BaseURL)
		if err != nil || base.Hostname() == "" {
			return nil, "", fault.Invalidf("trusted root", "the base URL %q of the log has no host name", l.BaseURL)
		}
		key, ok := l.PublicKey.(ed25519.PublicKey)
		if !ok {
			return nil, "", fault.Invalidf("trusted root", "the key of the log %s is a %T, must be Ed25519", base.Hostname(), l.PublicKey)
		}
		if _, want, err := note.KeyHash(base.Hostname(), key); err != nil || !bytes.Equal(want, id) {
			return nil, "", fault.Invalidf("trusted root", "the id of the log %s is not the hash of its name and key", base.Hostname())
		}
		return l, base.Hostname(), nil
	}
	return nil, "", fault.Invalidf("log id", "%x is the id of no log in the trusted root", id)
}
