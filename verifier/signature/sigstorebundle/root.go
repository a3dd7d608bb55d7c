package sigstorebundle

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// trustedRoot is the authorities and logs of a Sigstore instance.
type trustedRoot struct {
	anchor *anchor.Anchor
	*root.TrustedRoot
}

func newRoot(a *anchor.Anchor) (*trustedRoot, error) {
	p, err := parseRoot(a.Material)
	if err != nil {
		return nil, fmt.Errorf("the trusted root cannot be read: %s", proof.Text(err.Error(), 200))
	}
	r, err := root.NewTrustedRootFromProtobuf(p)
	if err != nil {
		return nil, fmt.Errorf("the trusted root cannot be read: %s", proof.Text(err.Error(), 200))
	}
	return &trustedRoot{a, r}, nil
}

// parseRoot reads a trusted root's form and applies the caps, before its keys and certificates are read.
func parseRoot(material string) (*prototrustroot.TrustedRoot, error) {
	if len(material) > anchor.MaxMaterial {
		return nil, fmt.Errorf("has %d bytes, %d at most", len(material), anchor.MaxMaterial)
	}
	p, err := root.NewTrustedRootProtobuf([]byte(material))
	if err != nil {
		return nil, err
	}
	counts := []int{len(p.GetTlogs()), len(p.GetCtlogs()), len(p.GetCertificateAuthorities()), len(p.GetTimestampAuthorities())}
	switch most := slices.Max(counts); {
	case most == 0:
		return nil, fmt.Errorf("holds no authority and no log")
	case most > maxAuthorities:
		return nil, fmt.Errorf("holds %d authorities or logs, %d of each at most", most, maxAuthorities)
	}
	for _, ca := range slices.Concat(p.GetCertificateAuthorities(), p.GetTimestampAuthorities()) {
		if n := len(ca.GetCertChain().GetCertificates()); n > maxCertificates {
			return nil, fmt.Errorf("holds a chain of %d certificates, %d at most", n, maxCertificates)
		}
	}
	return p, nil
}

// name says what to call the root in a sentence.
func (r *trustedRoot) name() string { return "the trusted root " + r.anchor.Name }

// host shortens an address for people; what is none stays as it is.
func host(address string) string {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		address = u.Host
	}
	return proof.Text(address, 100)
}

// summary lists what a root holds.
func summary(p *prototrustroot.TrustedRoot) string {
	var cas, logs, ctlogs, tsas []string
	for _, ca := range p.GetCertificateAuthorities() {
		cas = append(cas, nameOf(ca))
	}
	for _, l := range p.GetTlogs() {
		logs = append(logs, host(l.GetBaseUrl()))
	}
	for _, l := range p.GetCtlogs() {
		ctlogs = append(ctlogs, host(l.GetBaseUrl()))
	}
	for _, ca := range p.GetTimestampAuthorities() {
		tsas = append(tsas, nameOf(ca))
	}
	var parts []string
	for _, g := range []struct {
		what  string
		names []string
	}{{"CA", cas}, {"log", logs}, {"CT log", ctlogs}, {"TSA", tsas}} {
		if names := slices.Compact(g.names); len(names) > 0 {
			parts = append(parts, g.what+" "+strings.Join(names, ", "))
		}
	}
	return strings.Join(parts, "; ")
}

func nameOf(ca *prototrustroot.CertificateAuthority) string {
	if ca.GetUri() == "" {
		return proof.Text(strings.TrimSpace(ca.GetSubject().GetOrganization()+" "+ca.GetSubject().GetCommonName()), 100)
	}
	return host(ca.GetUri())
}
