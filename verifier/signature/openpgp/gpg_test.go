package openpgp

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/verifier/stocktest"
)

// gpg is a stock GnuPG with its own home, and a time of its own.
type gpg struct {
	t    testing.TB
	home string
	now  time.Time // zero: the real one
}

func newGPG(t testing.TB) *gpg {
	t.Helper()
	stocktest.Need(t, "gpg")
	home, err := os.MkdirTemp("", "gpg") // its agent's socket must have a short name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
		_ = os.RemoveAll(home)
	})
	return &gpg{t, home, born}
}

// try runs it with some input.
func (g *gpg) try(in string, args ...string) (out []byte, errs string, err error) {
	all := []string{"--homedir", g.home, "--batch", "--yes", "--no-tty", "--pinentry-mode", "loopback", "--passphrase", ""}
	if !g.now.IsZero() {
		all = append(all, "--faked-system-time", g.now.Format("20060102T150405")+"!", "--ignore-time-conflict")
	}
	cmd := exec.Command("gpg", append(all, args...)...)
	var wrong bytes.Buffer
	cmd.Stdin, cmd.Stderr = strings.NewReader(in), &wrong
	out, err = cmd.Output()
	return out, wrong.String(), err
}

func (g *gpg) run(in string, args ...string) []byte {
	g.t.Helper()
	out, errs, err := g.try(in, args...)
	if err != nil {
		g.t.Fatalf("gpg %q: %v: %s", args, err, errs)
	}
	return out
}

// key makes a key and returns the fingerprint of its primary key.
func (g *gpg) key(name, algorithm, usage, expires string) string {
	g.t.Helper()
	g.run("", "--quick-gen-key", name, algorithm, usage, expires)
	return g.fingerprints(name)[0]
}

func (g *gpg) fingerprints(name string) (list []string) {
	g.t.Helper()
	for line := range strings.Lines(string(g.run("", "--with-colons", "--list-keys", name))) {
		if fields := strings.Split(line, ":"); fields[0] == "fpr" {
			list = append(list, fields[9])
		}
	}
	return list
}

func (g *gpg) export(name string) string {
	return string(g.run("", "--armor", "--export", name))
}

// sign signs the document; the key must exist.
func (g *gpg) sign(name string, args ...string) []byte {
	g.t.Helper()
	return g.run(string(document), append([]string{"--local-user", name}, args...)...)
}

// accepts says whether stock GnuPG takes the signature file.
func (g *gpg) accepts(content, of []byte) bool {
	g.t.Helper()
	at := filepath.Join(g.t.TempDir(), "file")
	for name, b := range map[string][]byte{at: of, at + ".sig": content} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			g.t.Fatal(err)
		}
	}
	_, _, err := g.try("", "--verify", at+".sig", at)
	return err == nil
}
