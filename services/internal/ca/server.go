package ca

import (
	"crypto/tls"
	"sync"
	"time"
)

// renewBefore is how long before its end a server certificate is replaced.
const renewBefore = leafLife / 3

// ServerCertificate is a server's certificate, which is made anew in time while the server runs.
type ServerCertificate struct {
	authority *Authority
	names     []string
	now       func() time.Time

	mu      sync.Mutex
	current *tls.Certificate
	renew   time.Time
}

// NewServerCertificate makes the certificate of a server with those host names and addresses. Now is the clock.
func (a *Authority) NewServerCertificate(names []string, now func() time.Time) (*ServerCertificate, error) {
	s := &ServerCertificate{authority: a, names: names, now: now}
	_, err := s.Get(nil)
	return s, err
}

// Get returns the certificate for a handshake; it is for tls.Config.GetCertificate.
func (s *ServerCertificate) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.current != nil && now.Before(s.renew) {
		return s.current, nil
	}
	cert, err := s.authority.IssueServer(s.names, now)
	if err != nil {
		return nil, err
	}
	s.current, s.renew = &cert, now.Add(leafLife-renewBefore)
	return s.current, nil
}
