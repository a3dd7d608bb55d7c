package signature_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/countersign-escrow/countersign/verifier/signature"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/gitobject"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

const (
	actions = "https://token.actions.githubusercontent.com"
	release = "https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/main"
)

// examples returns the folder with the attestations of a package, which is part of the sigstore-go module.
func examples(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/sigstore/sigstore-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "examples")
}

// provenance is a real package with what was attested of it: where it was built from, and that it was published.
func provenance(t *testing.T) deposit {
	t.Helper()
	tarball := only(t, realThing(t, "npm", "sigstore@1.3.0"), "*.tgz")
	folder := examples(t)
	d := deposit{at: date(2023, 7, 1), version: "1.3.0", file: proof.Bytes(proof.Artifact, filepath.Base(tarball), read(t, tarball)), anchors: []anchor.Anchor{
		identity(t, "workflow", actions, release),
		named("publisher")(anchor.PublicKey, anchor.Artifact, string(read(t, folder, "publish_key.pub"))),
		named("public-good")(anchor.SigstoreRoot, anchor.Artifact, string(read(t, folder, "trusted-root-public-good.json"))),
	}}
	for _, name := range []string{"bundle-provenance.json", "bundle-publish.json"} {
		content := read(t, folder, name)
		d.sigs = append(d.sigs, signature.Signature{Name: name, MediaType: signature.Detect(content), Content: content})
	}
	return d
}

func identity(t *testing.T, name, issuer, subject string) anchor.Anchor {
	t.Helper()
	material, err := anchor.Material(anchor.Identity{Issuer: anchor.Name{Exact: issuer}, Subject: anchor.Name{Exact: subject}})
	if err != nil {
		t.Fatal(err)
	}
	return named(name)(anchor.SigstoreIdentity, anchor.Artifact, material)
}

// TestProvenance holds us against what was attested of a package of somebody else.
func TestProvenance(t *testing.T) {
	good := provenance(t)
	list := good.check(t)
	if len(list) != 2 {
		t.Fatalf("%+v", list)
	}
	counts(t, list[0], "workflow", good.file)
	counts(t, list[1], "publisher", good.file)
	for _, e := range list {
		if !strings.HasPrefix(e.Time, "2023-04-") || !strings.Contains(e.TimeBy, "log") {
			t.Errorf("judged at %s, by %s; want the time in the log", e.Time, e.TimeBy)
		}
	}
	of := func(commit string) []gitobject.Source { return []gitobject.Source{{Ref: "v1.3.0", CommitID: commit}} }
	for name, c := range map[string]struct {
		change      func(*deposit)
		built, said string // why neither the provenance nor the publication count; "" where they do
	}{
		"one bit of the package":  {func(d *deposit) { d.file = flipped(t, d.file, -1) }, "names no file of the release", "names no file of the release"},
		"taken for the next one":  {func(d *deposit) { d.version = "1.3.1" }, "sigstore@1.3.0", "sigstore@1.3.0"},
		"the very commit":         {func(d *deposit) { d.git = of("dae8bd8eb433a4147b4655c00fe73e0f22bc0fb1") }, "", ""},
		"made of another commit":  {func(d *deposit) { d.git = of("0000000000000000000000000000000000000000") }, "names the commit dae8bd8e", ""},
		"another workflow":        {func(d *deposit) { d.anchors[0] = identity(t, "workflow", actions, release+"x") }, "trust anchor", ""},
		"another issuer":          {func(d *deposit) { d.anchors[0] = identity(t, "workflow", "https://example.com", release) }, "trust anchor", ""},
		"no trusted root":         {func(d *deposit) { d.anchors = d.anchors[:2] }, "root", ""},
		"an identity for sources": {func(d *deposit) { d.anchors[0].Purpose = anchor.Source }, "purpose SOURCE", ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := provenance(t)
			c.change(&d)
			list := d.check(t)
			for i, words := range []string{c.built, c.said} {
				hold(t, list[i], d.file, words)
			}
		})
	}
}

// hold makes sure that a signature counts, or does not for a reason with such words.
func hold(t *testing.T, e finding.SignatureEvidence, file proof.File, words string) {
	t.Helper()
	if words != "" {
		fails(t, e, words)
		return
	}
	counts(t, e, e.Anchor[strings.LastIndex(e.Anchor, "/")+1:], file)
}
