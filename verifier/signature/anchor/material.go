package anchor

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
)

// MaxMaterial is the longest material of an anchor, in bytes.
const MaxMaterial = 1 << 20

// maxName bounds the text that a Name or pattern is made of, in bytes.
const maxName = 1024

// Name is whom something must be: an exact text, or a pattern (RE2) for the whole of it.
type Name struct {
	Exact   string `json:"exact,omitempty"`
	Pattern string `json:"pattern,omitempty"`
}

// IsZero says whether nothing is given.
func (n Name) IsZero() bool { return n == Name{} }

// Check says what is not well-formed: exactly one of the two is given, and the pattern can be read.
func (n Name) Check() error {
	switch {
	case (n.Exact == "") == (n.Pattern == ""):
		return fmt.Errorf("must be either an exact text or a pattern")
	case len(n.Exact) > maxName || len(n.Pattern) > maxName:
		return fmt.Errorf("is longer than %d bytes", maxName)
	}
	_, err := n.regexp()
	return err
}

// Matches says whether s is the name. What cannot be read matches nothing.
func (n Name) Matches(s string) bool {
	if n.Pattern == "" {
		return n.Exact != "" && n.Exact == s
	}
	re, err := n.regexp()
	return err == nil && n.Exact == "" && re.MatchString(s)
}

// regexp reads the pattern by itself first: a)|(b would be one within the brackets, and no longer be held against the whole of a text.
func (n Name) regexp() (*regexp.Regexp, error) {
	_, err := regexp.Compile(n.Pattern)
	re, whole := regexp.Compile(`\A(?:` + n.Pattern + `)\z`)
	if err = cmp.Or(err, whole); err != nil {
		return nil, fmt.Errorf("the pattern %.200q: %w", n.Pattern, err)
	}
	return re, nil
}

// String writes the name for people.
func (n Name) String() string {
	if n.Pattern != "" {
		return "/" + n.Pattern + "/"
	}
	return n.Exact
}

// Certificates is the material of an X509 anchor.
type Certificates struct {
	// PEM has blocks CERTIFICATE: authorities that a chain may end at or pass through, or the certificates that sign themselves.
	PEM string `json:"pem"`
	// Subject is whom the signing certificate must name: its subject (RFC 2253), common name, or one of its subject alternative
	// names. It must be given where one of the certificates is an authority's, for time stamps excepted: an authority certifies others, too.
	Subject Name `json:"subject,omitzero"`
}

// ParseCertificates reads an X509 anchor's material. It does not read the certificates.
func ParseCertificates(material string) (c Certificates, err error) {
	if err = decode(material, &c); err != nil {
		return c, err
	}
	if c.PEM == "" {
		return c, fmt.Errorf("pem: is missing")
	}
	if !c.Subject.IsZero() {
		if err := c.Subject.Check(); err != nil {
			return c, fmt.Errorf("subject: %w", err)
		}
	}
	return c, nil
}

// Identity is the material of a Sigstore identity.
type Identity struct {
	Issuer  Name `json:"issuer"`  // the OpenID Connect issuer that the certificate names
	Subject Name `json:"subject"` // the subject alternative name of the certificate
	// TrustedRoot is the resource name of the one SigstoreRoot that it is judged by; "" for all of its owner's.
	TrustedRoot string `json:"trustedRoot,omitempty"`
}

// ParseIdentity reads a Sigstore identity's material.
func ParseIdentity(material string) (i Identity, err error) {
	if err = decode(material, &i); err != nil {
		return i, err
	}
	if err := i.Issuer.Check(); err != nil {
		return i, fmt.Errorf("issuer: %w", err)
	}
	if err := i.Subject.Check(); err != nil {
		return i, fmt.Errorf("subject: %w", err)
	}
	return i, nil
}

// Material writes Certificates or an Identity as an anchor holds it.
func Material(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}

func decode(material string, v any) error {
	if len(material) > MaxMaterial {
		return fmt.Errorf("has %d bytes, %d at most", len(material), MaxMaterial)
	}
	dec := json.NewDecoder(bytes.NewReader([]byte(material)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("byte %d: %w", dec.InputOffset(), err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return fmt.Errorf("byte %d: something follows", dec.InputOffset())
	}
	return nil
}
