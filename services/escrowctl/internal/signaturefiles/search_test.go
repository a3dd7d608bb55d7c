package signaturefiles

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/digest"
)

// detect knows what the tests write: what looks like a signature, and bundles.
func detect(b []byte) string {
	if bytes.Contains(b, []byte("BEGIN PGP SIGN")) || bytes.Contains(b, []byte("dsseEnvelope")) || bytes.Contains(b, []byte("messageSignature")) {
		return "known"
	}
	return ""
}

const (
	detached    = "-----BEGIN PGP SIGNATURE-----"
	clearSigned = "-----BEGIN PGP SIGNED MESSAGE-----"
)

// statement is a bundle around a statement of that type about a file with that content.
func statement(predicate, content string) string {
	s := fmt.Sprintf(`{"predicateType":%q,"subject":[{"digest":{"sha256":%q}}]}`, predicate, digest.Of([]byte(content)).Hex())
	return fmt.Sprintf(`{"dsseEnvelope":{"payload":%q}}`, base64.StdEncoding.EncodeToString([]byte(s)))
}

func lay(t testing.TB, files map[string]string) string {
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// run returns what is found beside src/a.tar and dist/b as "name over|list".
func run(t testing.TB, files map[string]string, skip func(string) bool) []string {
	dir := lay(t, files)
	s := Search{Manifest: digest.Of([]byte("manifest")), Detect: detect, Skip: skip, MaxSignature: 4096, MaxList: 8192,
		Files: []File{{filepath.Join(dir, "src/a.tar"), digest.Of([]byte("a"))}, {filepath.Join(dir, "dist/b"), digest.Of([]byte("b"))}}}
	found, err := s.Run()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range found {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s%s", f.Name, filepath.Base(f.Over+f.List), string(f.ListBytes))))
		if f.MediaType != "known" || len(f.Content) == 0 {
			t.Errorf("%+v", f)
		}
	}
	return out
}

func TestSearch(t *testing.T) {
	slsa := "https://slsa.dev/provenance/v1"
	for name, c := range map[string]struct {
		file, content string
		want          string // "" for nothing
	}{
		"detached":               {"src/a.tar.asc", detached, "a.tar.asc a.tar"},
		"beside an artifact":     {"dist/b.sig", detached, "b.sig b"},
		"no signature":           {"src/a.tar.asc", "hello", ""},
		"of another file":        {"src/c.tar.asc", detached, ""},
		"other suffix":           {"src/a.tar.txt", detached, ""},
		"too long":               {"src/a.tar.asc", detached + strings.Repeat(" ", 4096), ""},
		"folder":                 {"src/a.tar.asc/x", detached, ""},
		"clear-signed list":      {"dist/SHA256SUMS", clearSigned, "SHA256SUMS ."},
		"clear-signed dsc":       {"src/a_1.dsc", clearSigned, "a_1.dsc ."},
		"unsigned dsc":           {"src/a_1.dsc", "Format: 3.0", ""},
		"detached named dsc":     {"src/a_1.dsc", detached, ""},
		"attestation":            {"dist/any.sigstore.json", statement(slsa, "b"), "any.sigstore.json ."},
		"attestation beside":     {"dist/b.sigstore.json", statement(slsa, "b"), "b.sigstore.json ."},
		"of the manifest":        {"dist/any.sigstore.json", statement(slsa, "manifest"), "any.sigstore.json ."},
		"about something else":   {"dist/any.sigstore.json", statement(slsa, "c"), ""},
		"beside, about other":    {"dist/b.sigstore.json", statement(slsa, "c"), ""},
		"a service's receipt":    {"dist/receipt.sigstore.json", statement(ours+"receipt/v1", "b"), ""},
		"message signature":      {"dist/b.sigstore.json", `{"messageSignature":{}}`, "b.sigstore.json b"},
		"of who knows what":      {"dist/any.sigstore.json", `{"messageSignature":{}}`, ""},
		"a statement of garbage": {"dist/any.sigstore.json", `{"dsseEnvelope":{"payload":"AAAA"}}`, ""},
		"lines": {"dist/b.intoto.jsonl", statement(slsa, "c") + "\n\nnonsense\n" + statement(slsa, "b") + "\n" + statement(slsa, "a"),
			"b.intoto.jsonl:4 .;b.intoto.jsonl:5 ."},
	} {
		if got := strings.Join(run(t, map[string]string{"src/a.tar": "a", "dist/b": "b", c.file: c.content}, nil), ";"); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestListsOfChecksums(t *testing.T) {
	files := map[string]string{"src/a.tar": "a", "dist/b": "b",
		"dist/SHA256SUMS": "1", "dist/SHA256SUMS.asc": detached, "dist/SHA256SUMS.sig": "nothing known", "dist/SHA512SUMS": "unsigned",
		"src/My-CHECKSUMS-v1": "2", "src/My-CHECKSUMS-v1.gpg": detached, "src/b.sha256sum": strings.Repeat("x", 9000), "src/b.sha256sum.asc": detached}
	want := []string{"SHA256SUMS.asc SHA256SUMS1", "My-CHECKSUMS-v1.gpg My-CHECKSUMS-v12"}
	if got := run(t, files, nil); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestSkipAndOrder(t *testing.T) {
	files := map[string]string{"src/a.tar": "a", "dist/b": "b", "dist/b.sig": detached, "src/a.tar.sig": detached, "src/a.tar.asc": detached}
	skip := func(path string) bool { return strings.HasSuffix(path, "a.tar.sig") }
	if got := run(t, files, skip); !slices.Equal(got, []string{"a.tar.asc a.tar", "b.sig b"}) {
		t.Errorf("%q", got)
	}
}

func FuzzParseAttestation(f *testing.F) {
	f.Add([]byte(statement("x", "b")))
	f.Add([]byte(`{"dsseEnvelope":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		w := &walk{Search: Search{Manifest: digest.Of(nil)}}
		if a, is := parseAttestation(b); !is && w.wanted(a) {
			t.Errorf("%q is none and is wanted", b)
		}
	})
}
