package gitobject_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/gitobject"
	"github.com/countersign-escrow/countersign/verifier/stocktest"
)

// repository is one that stock git keeps, with a signer.
type repository struct {
	t    *testing.T
	dir  string
	home string // of git and gpg
}

func newRepository(t *testing.T) *repository {
	t.Helper()
	home, err := os.MkdirTemp("", "gpg") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	r := &repository{t, t.TempDir(), home}
	r.must("", "git", "init", "-q")
	r.must("", "git", "config", "user.name", "builder")
	r.must("", "git", "config", "user.email", "builder@example.com")
	return r
}

func (r *repository) run(in string, argv ...string) (string, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdin = r.dir, strings.NewReader(in)
	cmd.Env = append(os.Environ(), "GNUPGHOME="+r.home, "HOME="+r.home, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%v: %w: %s", argv, err, errs.String())
	}
	return string(out), err
}

func (r *repository) must(in string, argv ...string) string {
	r.t.Helper()
	out, err := r.run(in, argv...)
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// withGPG has git sign with a new OpenPGP key.
func (r *repository) withGPG() anchor.Anchor {
	r.t.Helper()
	stocktest.Need(r.t, "git", "gpg")
	r.must("", "gpg", "--batch", "--passphrase", "", "--quick-generate-key", "builder <builder@example.com>", "ed25519", "sign", "0")
	r.t.Cleanup(func() { _, _ = r.run("", "gpgconf", "--kill", "all") })
	r.must("", "git", "config", "user.signingKey", "builder@example.com")
	return anchor.Anchor{Name: "gpg", Kind: anchor.OpenPGP, Material: r.must("", "gpg", "--armor", "--export"), Purpose: anchor.Source}
}

// withSSH has git sign with a new SSH key.
func (r *repository) withSSH() anchor.Anchor {
	r.t.Helper()
	stocktest.Need(r.t, "git", "ssh-keygen")
	key := filepath.Join(r.home, "id")
	r.must("", "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "builder", "-f", key)
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		r.t.Fatal(err)
	}
	allowed := "builder@example.com namespaces=\"git\" " + string(public)
	if err := os.WriteFile(key+".allowed", []byte(allowed), 0o600); err != nil {
		r.t.Fatal(err)
	}
	r.must("", "git", "config", "gpg.format", "ssh")
	r.must("", "git", "config", "user.signingKey", key)
	r.must("", "git", "config", "gpg.ssh.allowedSignersFile", key+".allowed")
	return anchor.Anchor{Name: "ssh", Kind: anchor.SSH, Material: allowed, Purpose: anchor.Source}
}

// change makes of an object another one. Where git takes what we refuse, stricter says so.
type change struct {
	name     string
	edit     func(b []byte) []byte
	stricter bool
}

func insert(before, text string) func([]byte) []byte {
	return func(b []byte) []byte { return bytes.Replace(b, []byte(before), []byte(text+before), 1) }
}

func flip(after string, n int) func([]byte) []byte {
	return func(b []byte) []byte {
		b = bytes.Clone(b)
		b[bytes.Index(b, []byte(after))+n] ^= 1
		return b
	}
}

// flipSignature changes a bit near the end, which is of the signature itself and not of what stands unsigned before it.
func flipSignature(b []byte) []byte {
	b = bytes.Clone(b)
	at := bytes.Index(b, []byte("-----END")) - 20
	for b[at] == '\n' || b[at] == ' ' || b[at] == '=' {
		at--
	}
	b[at] ^= 1
	return b
}

var tagChanges = []change{
	{name: "as it is", edit: bytes.Clone},
	{name: "message", edit: flip("release", 0)},
	{name: "tagger", edit: flip("tagger ", 8)},
	{name: "signature", edit: flipSignature},
	{name: "another field", edit: insert("tagger", "x y\n")},
	{name: "a field gpgsig-sha256", edit: insert("\n\nrelease", "\ngpgsig-sha256 X\n Y")},
	{name: "a field gpgsig", edit: insert("\n\nrelease", "\ngpgsig X\n Y"), stricter: true},
	{name: "text before the signature", edit: insert("-----BEGIN", "more\n")},
	{name: "a second beginning", edit: func(b []byte) []byte { return append(bytes.Clone(b), "-----BEGIN PGP SIGNATURE-----\n"...) }},
	{name: "cut off", edit: func(b []byte) []byte { return bytes.Clone(b[:len(b)-60]) }},
}

var commitChanges = []change{
	{name: "as it is", edit: bytes.Clone},
	{name: "message", edit: flip("first", 0)},
	{name: "committer", edit: flip("committer ", 11)},
	{name: "signature", edit: flipSignature},
	{name: "another field", edit: insert("committer", "x y\n")},
	{name: "a field gpgsig-sha256", edit: insert("gpgsig ", "gpgsig-sha256 X\n Y\n")},
	{name: "a field gpgsig-other", edit: insert("gpgsig ", "gpgsig-other X\n Y\n"), stricter: true},
	{name: "gpgsig twice", edit: insert("gpgsig ", "gpgsig X\n")},
	{name: "gpgsig in the message", edit: func(b []byte) []byte { return append(bytes.Clone(b), "gpgsig X\n"...) }},
}

func TestStockGit(t *testing.T) {
	for name, with := range map[string]func(*repository) anchor.Anchor{"openpgp": (*repository).withGPG, "ssh": (*repository).withSSH} {
		t.Run(name, func(t *testing.T) {
			stocktest.Need(t, "git")
			r := newRepository(t)
			v := verifier(t, with(r))
			r.must("", "git", "commit", "-q", "-S", "--allow-empty", "-m", "first")
			r.must("", "git", "tag", "-s", "-m", "release", "v1")
			tag, commit := []byte(r.must("", "git", "cat-file", "tag", "v1")), []byte(r.must("", "git", "cat-file", "commit", "v1"))
			for _, c := range tagChanges {
				b := c.edit(tag)
				r.agree(v, c, gitobject.KindTag, source("v1", b, commit), b, "tag")
			}
			for _, c := range commitChanges {
				b := c.edit(commit)
				r.agree(v, c, gitobject.KindCommit, source("v1", nil, b), b, "commit")
			}
		})
	}
}

// agree makes sure that stock git says of an object what we do.
func (r *repository) agree(v *gitobject.Verifier, c change, kind string, s gitobject.Source, b []byte, object string) {
	r.t.Helper()
	id := strings.TrimSpace(r.must(string(b), "git", "hash-object", "-t", object, "-w", "--literally", "--stdin"))
	_, stock := r.run("", "git", "verify-"+object, id)
	good, all := 0, prove(r.t, v, s)
	for _, p := range all {
		if p.Kind == kind && p.Problem == "" {
			good++
		}
	}
	if ours := good == 1; ours != (stock == nil) && (ours || !c.stricter) || (c.name == "as it is") != ours && stock != nil {
		r.t.Errorf("%s, %s: git says %v, we %+v", object, c.name, stock, all)
	}
}

// A key that another file holds signs nothing for this one.
func TestStockOtherKey(t *testing.T) {
	stocktest.Need(t, "git", "gpg")
	r, other := newRepository(t), newRepository(t)
	r.withGPG()
	v := verifier(t, other.withGPG(), lasse(t))
	r.must("", "git", "commit", "-q", "-S", "--allow-empty", "-m", "first")
	s := source("light", nil, []byte(r.must("", "git", "cat-file", "commit", "HEAD")))
	mustFail(t, "another key of the same name", prove(t, v, s), gitobject.KindCommit, "trust anchor")
}

// A signature made for something else than git, with the right key, is none on a commit.
func TestStockOtherNamespace(t *testing.T) {
	stocktest.Need(t, "git", "ssh-keygen")
	r := newRepository(t)
	a := r.withSSH()
	a.Material = strings.Replace(a.Material, `namespaces="git" `, "", 1)
	r.must("", "git", "commit", "-q", "--allow-empty", "-m", "first")
	plain := r.must("", "git", "cat-file", "commit", "HEAD")
	for _, namespace := range []string{"git", "file"} {
		signature := r.must(plain, "ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", filepath.Join(r.home, "id"))
		folded := "\ngpgsig " + strings.ReplaceAll(strings.TrimSpace(signature), "\n", "\n ") + "\n\n"
		list := prove(t, verifier(t, a), source("light", nil, []byte(strings.Replace(plain, "\n\n", folded, 1))))
		if namespace == "git" && (len(list) != 1 || list[0].Problem != "") {
			t.Errorf("%+v", list)
		} else if namespace != "git" {
			mustFail(t, "namespace", list, gitobject.KindCommit, "namespace")
		}
	}
}
