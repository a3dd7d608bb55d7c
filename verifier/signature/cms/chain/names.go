package chain

import (
	"crypto/x509"
	"encoding/asn1"
	"regexp"
	"slices"
	"strings"
)

var oidCommonName = asn1.ObjectIdentifier{2, 5, 4, 3}

// likeSubject is text that could be taken for a subject, such as CN=Vendor: only a subject may be compared with one.
var likeSubject = regexp.MustCompile(`^\s*[0-9A-Za-z.-]+\s*=`)

// names lists what a certificate names, each in the form that its type has. An authority vouches for each by the rules of its type, which
// is why a mail address in the place of a host, or a subject in that of a common name, is nobody's name. A certificate with several common
// names has neither common name nor subject here: readers differ on which of them counts.
func names(c *x509.Certificate) (list []string) {
	if commonNames(c) < 2 {
		list = append(list, c.Subject.String())
		if !likeSubject.MatchString(c.Subject.CommonName) {
			list = append(list, c.Subject.CommonName)
		}
	}
	for _, host := range c.DNSNames {
		if !strings.ContainsAny(host, "@=:/ ") {
			list = append(list, host)
		}
	}
	for _, address := range c.EmailAddresses {
		if strings.Contains(address, "@") && !likeSubject.MatchString(address) {
			list = append(list, address)
		}
	}
	for _, u := range c.URIs {
		if u.IsAbs() {
			list = append(list, u.String())
		}
	}
	return slices.DeleteFunc(list, func(name string) bool { return name == "" })
}

func commonNames(c *x509.Certificate) (n int) {
	for _, a := range c.Subject.Names {
		if a.Type.Equal(oidCommonName) {
			n++
		}
	}
	return n
}
