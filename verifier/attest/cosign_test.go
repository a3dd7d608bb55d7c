package attest

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/verifier/stocktest"
)

// auditor is a folder with what an auditor has, and a stock verifier.
type auditor struct {
	cosign, dir string
}

func newAuditor(t testing.TB, w *world) auditor {
	t.Helper()
	a := auditor{stocktest.Cosign(t), t.TempDir()}
	for name, b := range map[string][]byte{
		"trusted_root.json": w.root, "stmt.pub": []byte(w.signer.PublicKeyPEM()), "router": shipped, "another": []byte("another artifact\n"),
	} {
		a.put(t, name, b)
	}
	return a
}

func (a auditor) put(t testing.TB, name string, b []byte) {
	t.Helper()
	check(t, os.WriteFile(filepath.Join(a.dir, name), b, 0o600))
}

// verify runs stock cosign in an environment without a home, so that nothing but its arguments counts, and without a way out.
func (a auditor) verify(t testing.TB, bundle []byte, predicateType, artifact string) error {
	t.Helper()
	a.put(t, "bundle.json", bundle)
	cmd := exec.CommandContext(t.Context(), a.cosign,
		CosignArguments("bundle.json", "trusted_root.json", "stmt.pub", predicateType, artifact)...)
	cmd.Dir = a.dir
	cmd.Env = []string{"HOME=" + t.TempDir(), "HTTPS_PROXY=http://127.0.0.1:1", "HTTP_PROXY=http://127.0.0.1:1"}
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if err != nil {
		return errors.New(string(bytes.TrimSpace(out)))
	}
	return nil
}

func TestCosignAccepts(t *testing.T) {
	w := newWorld(t)
	a := newAuditor(t, w)
	provenance, ok := NewProvenance(findingContext(), rebuildFinding(), theRecipe())
	if !ok {
		t.Fatal("no provenance")
	}
	for name, s := range map[string]Statement{
		"a receipt": receipt(), "a comparison": comparison(), "a report": report(), "a provenance": provenance,
	} {
		if err := a.verify(t, w.publish(t, s), s.PredicateType, "router"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What stock cosign refuses we refuse too; TestVerifyRefusesForgeries has the same table.
func TestCosignRefuses(t *testing.T) {
	w := newWorld(t)
	a := newAuditor(t, w)
	good := w.pair(t, comparison())
	if err := a.verify(t, good, TypeComparison, "router"); err != nil {
		t.Fatal(err)
	}
	if err := a.verify(t, good, TypeComparison, "another"); err == nil {
		t.Error("accepted another artifact")
	}
	if err := a.verify(t, good, TypeReceipt, "router"); err == nil {
		t.Error("accepted another predicate type")
	}
	for name, f := range forgeries {
		err := a.verify(t, f.forge(t, w, bytes.Clone(good)), TypeComparison, "router")
		if err == nil {
			t.Errorf("accepted %s", name)
		}
		if testing.Verbose() && err != nil {
			lines := strings.Split(err.Error(), "\n")
			t.Logf("%s: %s", name, lines[len(lines)-1])
		}
	}
}

// These say why a verifier of our own is needed. One that stock cosign comes to refuse belongs into the other table.
func TestCosignMisses(t *testing.T) {
	w := newWorld(t)
	a := newAuditor(t, w)
	good := w.pair(t, comparison())
	for name, f := range subtleties {
		if err := a.verify(t, f.forge(t, w, bytes.Clone(good)), TypeComparison, "router"); err != nil {
			t.Errorf("refused %s: %v", name, err)
		}
	}
}
