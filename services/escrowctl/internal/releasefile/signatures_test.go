package releasefile

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/keyfile"
	"github.com/countersign-escrow/countersign/verifier/signature"
	"github.com/countersign-escrow/countersign/verifier/signature/sigstorebundle"
	"github.com/countersign-escrow/countersign/verifier/signature/sshsig"
)

// put writes files beside a release file; a nil content removes one.
func put(t testing.TB, release string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(filepath.Dir(release), name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}

// bundleOver is a real Sigstore bundle by a new key.
func bundleOver(t testing.TB, content []byte) string {
	t.Helper()
	key, _, err := keyfile.New()
	if err != nil {
		t.Fatal(err)
	}
	b, err := sigstorebundle.Sign(key, content)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// sshOver is a real SSH signature by a new key.
func sshOver(t testing.TB, content string) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	b, err := sshsig.Sign(signer, strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestSignatureOverTheManifest(t *testing.T) {
	path := lay(t, good)
	f, d := prepare(t, path)
	for name, c := range map[string]struct{ content, want string }{
		"missing": {"", "release.yaml:22: signatures[0]: release.sigstore.json: no such file; make it with: escrowctl sign"},
		"text":    {"hello there, world", "is no signature of a kind that is known"},
		"json":    {"{}", "is no signature of a kind that is known"},
		"large":   {strings.Repeat(" ", signature.MaxSignatureBytes+1), "has more than 256 KiB"},
		"stale":   {bundleOver(t, nil), "something changed since it was signed; sign it again"},
		"good":    {bundleOver(t, d.Bytes), ""},
		"SSH":     {sshOver(t, string(d.Bytes)), ""},
	} {
		if c.content != "" {
			put(t, path, map[string]string{"release.sigstore.json": c.content})
		} else {
			os.Remove(filepath.Join(filepath.Dir(path), "release.sigstore.json"))
		}
		got, err := f.Signatures(d, false)
		if c.want == "" {
			if err != nil || len(got) != 1 || got[0].MediaType == "" || !got[0].Subject.IsZero() || got[0].Name != "release.sigstore.json" {
				t.Errorf("%s: %v, %v", name, got, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// with is the good release file with these signatures.
func with(entries ...string) string {
	return strings.Replace(good, "  - release.sigstore.json\n", "  - "+strings.Join(entries, "\n  - ")+"\n", 1)
}

func TestSignaturesOverFiles(t *testing.T) {
	path := lay(t, with("release.sshsig", "{file: dist/widget.sshsig, over: dist/widget}", "{file: src.sshsig, over: src.tar.gz}",
		"{file: SUMS.sshsig, list: SUMS}", "{file: m.sshsig, over: manifest}"))
	sig := sshOver(t, "any")
	put(t, path, map[string]string{"release.sshsig": sig, "dist/widget.sshsig": sig, "src.sshsig": sig, "SUMS.sshsig": sig, "m.sshsig": sig, "SUMS": "the list"})
	f, d := prepare(t, path)
	got, err := f.Signatures(d, true) // dist/widget.sshsig lies beside its file, and is named: it is there once
	if err != nil || len(got) != 5 {
		t.Fatalf("%d: %v", len(got), err)
	}
	for i, want := range []Signature{
		{Over: "manifest"},
		{Over: "dist/widget", Signature: signature.Signature{Subject: digest.Of([]byte("widget"))}},
		{Over: "src.tar.gz", Signature: signature.Signature{Subject: digest.Of([]byte("source"))}},
		{Over: "SUMS", Signature: signature.Signature{List: []byte("the list"), ListName: "SUMS"}},
		{Over: "manifest"},
	} {
		g := got[i]
		if g.Over != want.Over || g.Subject != want.Subject || string(g.List) != string(want.List) || g.ListName != want.ListName || g.Found || g.MediaType != sshsig.MediaType {
			t.Errorf("%d: %+v", i, g)
		}
	}
	if paths := f.SignaturePaths(); len(paths) != 2 || filepath.Base(paths[1]) != "m.sshsig" {
		t.Errorf("over the manifest: %v", paths)
	}
}

func TestSignaturesOverNothing(t *testing.T) {
	sig := sshOver(t, "any")
	for want, entry := range map[string]string{
		`signatures[0].over: release.yaml: is no source or artifact of the release, nor "manifest"`: "{file: a.sshsig, over: release.yaml}",
		"signatures[0].list: gone: no such file or directory":                                       "{file: a.sshsig, list: gone}",
		"signatures[0]: gone: no such file":                                                         "{file: gone, over: src.tar.gz}",
	} {
		path := lay(t, with(entry))
		put(t, path, map[string]string{"a.sshsig": sig})
		f, d := prepare(t, path)
		if _, err := f.Signatures(d, true); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestSignaturesBesideTheFiles(t *testing.T) {
	path := lay(t, with("release.sshsig"))
	sig := sshOver(t, "any")
	put(t, path, map[string]string{"release.sshsig": sig, "dist/widget.sshsig": sig, "src.tar.gz.sig": sig, "dist/SHA256SUMS": "list", "dist/SHA256SUMS.sig": sig,
		"src.tar.gz.asc": "no signature", "unrelated.sig": sig})
	f, d := prepare(t, path)
	got, err := f.Signatures(d, true, filepath.Join(filepath.Dir(path), "src.tar.gz.sig"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range got {
		names = append(names, fmt.Sprintf("%s %v", s.Name, s.Found))
	}
	if want := "release.sshsig false, widget.sshsig true, SHA256SUMS.sig true"; strings.Join(names, ", ") != want {
		t.Errorf("%s, want %s", strings.Join(names, ", "), want)
	}
	if got[1].Subject != digest.Of([]byte("widget")) || string(got[2].List) != "list" || got[2].ListName != "SHA256SUMS" {
		t.Errorf("%+v", got[1:])
	}
	if got, err := f.Signatures(d, false); err != nil || len(got) != 1 {
		t.Errorf("without what is found: %v, %v", got, err)
	}
}

func TestTooManySignatures(t *testing.T) {
	path := lay(t, with("release.sshsig"))
	sig := sshOver(t, "any")
	files := map[string]string{"release.sshsig": sig}
	for i := range signature.MaxSignatures {
		files[fmt.Sprintf("dist/%d.sha256sum", i)], files[fmt.Sprintf("dist/%d.sha256sum.sig", i)] = "list", sig
	}
	put(t, path, files)
	f, d := prepare(t, path)
	if _, err := f.Signatures(d, true); err == nil || !strings.Contains(err.Error(), "more than 64 signatures") || !strings.Contains(err.Error(), "--no-found-signatures") {
		t.Errorf("%v", err)
	}
}
