package cms_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/cms"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// publicGood returns the trusted root in the sigstore-go module.
func publicGood(t *testing.T) anchor.Anchor {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/sigstore/sigstore-go").Output()
	if err != nil {
		t.Skipf("the sigstore-go module is not at hand: %v", err)
	}
	b, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "examples", "trusted-root-public-good.json"))
	if err != nil {
		t.Fatal(err)
	}
	return anchor.Anchor{Name: "root", Kind: anchor.SigstoreRoot, Material: string(b)}
}

func identity(t *testing.T, issuer, subject string) anchor.Anchor {
	t.Helper()
	material, err := anchor.Material(anchor.Identity{Issuer: anchor.Name{Exact: issuer}, Subject: anchor.Name{Exact: subject}})
	if err != nil {
		t.Fatal(err)
	}
	return anchor.Anchor{Name: "who", Kind: anchor.SigstoreIdentity, Material: material}
}

func proveTag(t *testing.T, version string, change func(tag, signature []byte) ([]byte, []byte), anchors ...anchor.Anchor) proof.Proof {
	t.Helper()
	tag, err := os.ReadFile("testdata/gitsign-" + version + ".tag")
	if err != nil {
		t.Fatal(err)
	}
	signature, err := os.ReadFile("testdata/gitsign-" + version + ".p7s")
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		tag, signature = change(tag, signature)
	}
	v, err := cms.New(anchors)
	if err != nil {
		t.Fatal(err)
	}
	list, err := v.Prove(t.Context(), signature, proof.Bytes(proof.Source, "tag", tag))
	if err != nil || len(list) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	return list[0]
}

const (
	google = "https://accounts.google.com"
	tagger = "billy@chainguard.dev"
)

func TestGitsignWithLogEntry(t *testing.T) {
	p := proveTag(t, "v0.17.1", nil, publicGood(t), identity(t, google, tagger))
	if p.Problem != "" || len(p.Anchors) != 1 || p.Anchors[0].Name != "who" || len(p.Roots) != 1 || p.Roots[0].Name != "root" {
		t.Fatalf("%+v", p)
	}
	if len(p.Times) != 1 || p.Times[0].By != "the log rekor.sigstore.dev" || p.Life.Problem(p.Times[0].At) != "" {
		t.Errorf("%+v", p)
	}
	if p.Life.Until.Sub(p.Life.From) > 11*time.Minute {
		t.Errorf("life %+v", p.Life)
	}
}

func TestGitsignWithoutLogEntry(t *testing.T) {
	p := proveTag(t, "v0.9.1", nil, publicGood(t), identity(t, google, tagger))
	if p.Problem != "" || len(p.Times) != 0 || !strings.Contains(strings.Join(p.Notes, " "), "gitsign.rekorMode offline") {
		t.Errorf("%+v", p)
	}
	if p.Claim.IsZero() {
		t.Errorf("%+v, want what the signer says of when", p)
	}
}

func TestGitsignOfOthers(t *testing.T) {
	root, who := publicGood(t), identity(t, google, tagger)
	elsewhere, clock := who, root
	clock.Purpose = anchor.Time
	elsewhere.Material = strings.Replace(who.Material, "}}", `},"trustedRoot":"another"}`, 1)
	for name, c := range map[string]struct {
		anchors []anchor.Anchor
		want    string
	}{
		"other identity": {[]anchor.Anchor{root, identity(t, google, "mallory@example.com")}, "no trust anchor names"},
		"other issuer":   {[]anchor.Anchor{root, identity(t, "https://github.com/login/oauth", tagger)}, "no trust anchor names"},
		"no root":        {[]anchor.Anchor{who}, "no trusted root"},
		"a clock's root": {[]anchor.Anchor{clock, who}, "no trusted root"},
		"another root":   {[]anchor.Anchor{root, elsewhere}, "no trust anchor names"},
	} {
		if p := proveTag(t, "v0.17.1", nil, c.anchors...); len(p.Anchors) > 0 || !strings.Contains(p.Problem, c.want) {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

func TestGitsignOverAnotherTag(t *testing.T) {
	p := proveTag(t, "v0.17.1", func(tag, s []byte) ([]byte, []byte) { tag[3] ^= 1; return tag, s }, publicGood(t), identity(t, google, tagger))
	if len(p.Anchors) > 0 || !strings.Contains(p.Problem, "over other content") {
		t.Errorf("%+v", p)
	}
}

// TestGitsignForgedEntry changes the embedded entry: the signature stays good, and the time is gone.
func TestGitsignForgedEntry(t *testing.T) {
	p := proveTag(t, "v0.17.1", func(tag, s []byte) ([]byte, []byte) { return tag, alterEntry(t, s) }, publicGood(t), identity(t, google, tagger))
	if p.Problem != "" || len(p.Times) != 0 || !strings.Contains(strings.Join(p.Notes, " "), "log entry 1 proves nothing") {
		t.Errorf("%+v", p)
	}
}
