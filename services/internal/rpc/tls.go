package rpc

import (
	"crypto/tls"
	"crypto/x509"
)

// ServerTLS makes the configuration of a listener: TLS 1.3 only, the certificate that get returns, and client certificates
// of the CA in clients where a client has one. Whether a call needs one is decided call by call.
func ServerTLS(get func(*tls.ClientHelloInfo) (*tls.Certificate, error), clients *x509.CertPool) *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: get,
		ClientAuth:     tls.VerifyClientCertIfGiven,
		ClientCAs:      clients,
	}
}
