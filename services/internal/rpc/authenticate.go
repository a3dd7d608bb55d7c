package rpc

import (
	"context"
	"crypto/x509"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/countersign-escrow/countersign/services/internal/ca"
)

// Members knows who holds a certificate. It is asked at every call, so that a revocation counts from the next call on,
// and must be cheap. It answers UnknownCertificate or RevokedCertificate for one that does not count.
type Members interface {
	Member(ctx context.Context, serial string) (Identity, error)
}

// The answers of Members about a certificate that does not count.
var (
	UnknownCertificate = unauthenticated("CERTIFICATE_UNKNOWN",
		"the client certificate is not one that this service keeps", "enrol again with a new token")
	RevokedCertificate = unauthenticated("CERTIFICATE_REVOKED",
		"the client certificate was revoked", "ask an administrator of your organization for a new enrolment token")
)

var expiredCertificate = unauthenticated("CERTIFICATE_EXPIRED",
	"the client certificate has reached its end", "enrol again with a new token")

// authenticate returns who made the call that ctx belongs to; false for a stranger. A certificate that does not count
// is an error rather than a stranger: its holder means to be known.
func (s *Server) authenticate(ctx context.Context) (Identity, bool, error) {
	cert := certificateOf(ctx)
	if cert == nil {
		return Identity{}, false, nil
	}
	id, err := s.check(ctx, cert)
	return id, err == nil, err
}

// certificateOf returns the leaf of a verified chain, or nil.
func certificateOf(ctx context.Context) *x509.Certificate {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 || len(info.State.VerifiedChains[0]) == 0 {
		return nil
	}
	return info.State.VerifiedChains[0][0]
}

// check looks at a certificate afresh: the handshake may have been days ago.
func (s *Server) check(ctx context.Context, cert *x509.Certificate) (Identity, error) {
	org, member, err := ca.Member(cert)
	if err != nil {
		return Identity{}, UnknownCertificate
	}
	if now := time.Now(); now.After(cert.NotAfter) || now.Before(cert.NotBefore) {
		return Identity{}, expiredCertificate
	}
	id, err := s.members.Member(ctx, ca.Serial(cert))
	if err != nil {
		return Identity{}, err
	}
	if id.Organization != org || id.Member != member {
		return Identity{}, UnknownCertificate
	}
	return id, nil
}
