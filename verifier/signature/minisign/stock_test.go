package minisign

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/stocktest"
)

// work is a folder with the file to sign, in which stock tools run.
type work string

func newWork(t *testing.T) work {
	w := work(t.TempDir())
	w.write(t, "file", payload)
	return w
}

func (w work) write(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(string(w), name), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (w work) read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(string(w), name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (w work) try(tool string, args ...string) (string, error) {
	cmd := exec.Command(tool, args...)
	cmd.Dir = string(w)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (w work) run(t *testing.T, tool string, args ...string) {
	t.Helper()
	if out, err := w.try(tool, args...); err != nil {
		t.Fatalf("%s %s: %v\n%s", tool, args, err, out)
	}
}

func (w work) anchor(t *testing.T) anchor.Anchor {
	t.Helper()
	return anchor.Anchor{Name: "organizations/o/trustAnchors/a", Kind: anchor.Minisign, Purpose: anchor.Release, Material: string(w.read(t, "key.pub"))}
}

func TestStockMinisign(t *testing.T) {
	stocktest.Need(t, "minisign")
	w := newWork(t)
	w.run(t, "minisign", "-G", "-W", "-p", "key.pub", "-s", "key")
	for _, form := range [][]string{nil, {"-l"}} {
		w.run(t, "minisign", append([]string{"-S", "-s", "key", "-m", "file", "-x", "sig", "-t", "timestamp:1700000000 release 1"}, form...)...)
		sig := w.read(t, "sig")
		got := prove(t, sig, file(payload), w.anchor(t))
		if got.Problem != "" || got.Kind != Kind || got.Claim.Unix() != 1700000000 || !strings.Contains(got.Notes[0], "release 1") {
			t.Errorf("%s: %+v", form, got)
		}
		if id := got.KeyID; !strings.Contains(string(w.read(t, "key.pub")), " "+id+"\n") {
			t.Errorf("the key is %s for us, and minisign says %s", id, w.read(t, "key.pub"))
		}
		for name, changed := range map[string][]byte{"comment": bytes.Replace(sig, []byte("release 1"), []byte("release 2"), 1),
			"untrusted": append([]byte(untrusted), sig[len(untrusted)+3:]...),
			"cut":       sig[:len(sig)-10]} {
			w.write(t, "changed", changed)
			out, stock := w.try("minisign", "-V", "-p", "key.pub", "-m", "file", "-x", "changed")
			if ours := prove(t, changed, file(payload), w.anchor(t)); (ours.Problem == "") != (stock == nil) || (stock == nil) != (name == "untrusted") {
				t.Errorf("%s: %+v, and minisign says %s", name, ours, out)
			}
		}
	}
}

func TestStockSignify(t *testing.T) {
	const tool = "signify-openbsd"
	stocktest.Need(t, tool)
	w := newWork(t)
	w.run(t, tool, "-G", "-n", "-p", "key.pub", "-s", "key.sec")
	w.run(t, tool, "-S", "-s", "key.sec", "-m", "file", "-x", "sig")
	if got := prove(t, w.read(t, "sig"), file(payload), w.anchor(t)); got.Problem != "" || got.Kind != KindSignify {
		t.Errorf("%+v", got)
	}
	if got := prove(t, w.read(t, "sig"), file([]byte("other")), w.anchor(t)); got.Problem == "" {
		t.Errorf("other file: %+v", got)
	}
	w.run(t, tool, "-S", "-e", "-s", "key.sec", "-m", "file", "-x", "embedded")
	if got := prove(t, w.read(t, "embedded"), file(payload), w.anchor(t)); !strings.Contains(got.Problem, "without -e") {
		t.Errorf("embedded: %+v", got)
	}
}

// TestStockReads makes sure that the signatures which other tests make are none that only this package takes.
func TestStockReads(t *testing.T) {
	stocktest.Need(t, "minisign")
	w, s := newWork(t), newSigner(t)
	w.write(t, "key.pub", []byte(s.public()))
	for _, algorithm := range []string{"ED", "Ed"} {
		w.write(t, "sig", s.sign(algorithm, comment, payload))
		w.run(t, "minisign", "-V", "-p", "key.pub", "-m", "file", "-x", "sig")
	}
}
