package commands

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"

	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
)

func TestAnchorFlags(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"nothing":          {nil, "nothing is given to register"},
		"two":              {[]string{"--key", "a", "--openpgp", "b"}, "--key and --openpgp are given"},
		"lone subject":     {[]string{"--key", "a", "--subject", "CN=x"}, "go with --x509"},
		"two subjects":     {[]string{"--x509", "a", "--subject", "x", "--subject-pattern", "y"}, "--subject: must be either"},
		"half an identity": {[]string{"--sigstore-issuer", "https://x"}, "--sigstore-subject, or --sigstore-subject-pattern: must be either"},
		"bad pattern":      {[]string{"--sigstore-issuer", "https://x", "--sigstore-subject-pattern", "("}, "the pattern"},
		"lone root":        {[]string{"--key", "a", "--trusted-root", "r"}, "--trusted-root goes with"},
	} {
		f := new(anchorFlags)
		bound := &cobra.Command{Use: "add"}
		f.held.bind(bound)
		if err := bound.ParseFlags(c.args); err != nil {
			t.Fatal(err)
		}
		if _, err := f.held.material(acme()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestAnchorMessage(t *testing.T) {
	f := &anchorFlags{purpose: "source", product: "widget", until: "2031-12-31"}
	bound := &cobra.Command{Use: "add"}
	f.held.bind(bound)
	if err := bound.ParseFlags([]string{"--sigstore-issuer", "https://x", "--sigstore-subject-pattern", "a.*", "--trusted-root", "r"}); err != nil {
		t.Fatal(err)
	}
	m, err := f.held.material(acme())
	if err != nil {
		t.Fatal(err)
	}
	f.unsafe.Sha1Unsafe = true
	got, err := f.anchor(acme(), m)
	if err != nil {
		t.Fatal(err)
	}
	i := got.GetSigstoreIdentity()
	if i.GetIssuer().GetExact() != "https://x" || i.GetSubject().GetPattern() != "a.*" || i.GetTrustedRoot() != "organizations/acme/trustAnchors/r" ||
		!got.GetUnsafe().GetSha1Unsafe() || got.GetProduct() != "organizations/acme/products/widget" || got.GetPurpose() != pb.TrustAnchorPurpose_TRUST_ANCHOR_PURPOSE_SOURCE ||
		got.GetValidFrom() != nil || got.GetValidUntil() == nil {
		t.Errorf("%v", got)
	}
	f.purpose = "everything"
	if _, err := f.anchor(acme(), m); err == nil || !strings.Contains(err.Error(), "must be release") {
		t.Errorf("%v", err)
	}
}
