package attest

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/verifier/publickey"
)

var update = flag.Bool("update", false, "make testdata anew")

// kept is an attestation in testdata: what was once given out must be verified by every later version.
type kept struct {
	bundle, root, key []byte
}

const keptFolder = "testdata/comparison"

func (k *kept) files() map[string]*[]byte {
	return map[string]*[]byte{"bundle.json": &k.bundle, "trusted_root.json": &k.root, "stmt.pub": &k.key}
}

func readKept(t testing.TB) kept {
	t.Helper()
	var k kept
	for name, into := range k.files() {
		b, err := os.ReadFile(filepath.Join(keptFolder, name))
		check(t, err)
		*into = b
	}
	return k
}

func (k kept) verify(bundle []byte) (*Verified, error) {
	key, err := publickey.Parse(string(k.key))
	if err != nil {
		return nil, err
	}
	return Verify(bundle, k.root, key, Policy{Artifact: digest.Of(shipped), PredicateType: TypeComparison})
}

func TestKeptBundle(t *testing.T) {
	if *update {
		w := newWorld(t)
		k := kept{w.pair(t, comparison()), w.root, []byte(w.signer.PublicKeyPEM())}
		check(t, os.MkdirAll(keptFolder, 0o755))
		for name, b := range k.files() {
			check(t, os.WriteFile(filepath.Join(keptFolder, name), *b, 0o644))
		}
	}
	k := readKept(t)
	v, err := k.verify(k.bundle)
	check(t, err)
	if v.LogIndex != 1 || v.TreeSize != 2 || v.Origin != origin {
		t.Errorf("%+v", v)
	}
}
