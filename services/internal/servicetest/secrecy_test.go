package servicetest_test

import (
	"bytes"
	"encoding/base64"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/digest"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/servicetest"
)

// needle is something that tells about a deposit.
type needle struct {
	what  string
	bytes []byte
}

// telltales are what must be seen neither in the store nor in the log: who deposited, what it is called, what is in it, and
// the digests by which somebody who has a file could find out that it is held.
func telltales(t *testing.T, r *servicetest.Release) (all []needle) {
	all = []needle{
		{"the vendor", []byte("kilimanjaro")},
		{"the product", []byte("zanzibar")},
		{"an artifact", []byte("telltale content")},
		{"an artifact's name", []byte("firmware.img")},
		{"the source", []byte("int main(void)")},
		{"the source's file", []byte("main.c")},
		{"the recipe", []byte("/bin/cc")},
		{"the manifest", r.Raw(t)},
	}
	for d, content := range r.Blobs {
		all = append(all,
			needle{"the digest of a file, in hexadecimal", []byte(d.Hex())},
			needle{"the digest of a file, in base64", []byte(base64.StdEncoding.EncodeToString(d.Bytes()))},
			needle{"the digest of a file, in bytes", d.Bytes()},
			needle{"a file", content[:min(len(content), 64)]},
		)
	}
	return all
}

// files returns the contents of all files below a folder, each with its path before it.
func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	all := make(map[string][]byte)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		all[path] = append([]byte(path+"\n"), raw...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// What lies in the store and in the log, which others may keep and the public reads, tells nothing about a deposit.
func TestStoreAndLogTellNothing(t *testing.T) {
	s := servicetest.New(t)
	s.Start(t)
	s.Sandbox.Makes(map[string]string{"firmware.img": "telltale content, rebuilt"})
	v, lab := s.Vendor(t, "kilimanjaro"), s.Lab(t, "lab-se", "SE", servicetest.PolicyMatch)
	v.Product.ID = "zanzibar-router"
	if _, err := v.Deposit.CreateProduct(t.Context(), &pb.CreateProductRequest{Parent: v.Name.String(), ProductId: v.Product.ID}); err != nil {
		t.Fatal(err)
	}
	v.Grant(t, lab.Name, time.Hour)
	r := v.Release(t, "1.0", map[string]string{"firmware.img": "telltale content of a release"})
	v.Checked(t, r)
	lab.Decides(t, r, pb.Decision_DECISION_INCONCLUSIVE)
	servicetest.Eventually(t, "every attestation in the log", func() bool {
		var pending []catalog.Attestation
		if err := s.Catalog.View(t.Context(), func(tx *catalog.Tx) (err error) {
			pending, err = tx.PendingAttestations()
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return len(pending) == 0
	})
	unfinished(t, s, v)

	needles := telltales(t, r)
	objects, log := files(t, filepath.Join(s.Dir, "objects")), files(t, filepath.Join(s.Dir, "log"))
	if len(objects) < len(r.Blobs)+2 || len(log) < 3 {
		t.Fatalf("%d files in the store and %d in the log: the test looks in the wrong place", len(objects), len(log))
	}
	for _, folder := range []map[string][]byte{objects, log} {
		for path, raw := range folder {
			for _, n := range needles {
				if bytes.Contains(raw, n.bytes) {
					t.Errorf("%s tells %s", path, n.what)
				}
			}
		}
	}
	wantInCatalog(t, s, needles[:2])
}

// unfinished leaves an upload half done: what is there of it tells nothing either.
func unfinished(t *testing.T, s *servicetest.Stage, v *servicetest.Vendor) {
	t.Helper()
	content := bytes.Repeat([]byte("telltale content "), 10_000)
	ref := blob.Ref{Holder: v.Name, Digest: digest.Of(content)}
	u, err := s.Blobs.Resume(t.Context(), ref, int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Write(content[:150_000]); err != nil {
		t.Fatal(err)
	}
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
}

// wantInCatalog looks for the same words where they must be: were they written in another way, nothing would be found
// anywhere.
func wantInCatalog(t *testing.T, s *servicetest.Stage, needles []needle) {
	t.Helper()
	var number int
	var name, path string
	if err := s.Catalog.DB().QueryRowContext(t.Context(), "PRAGMA database_list").Scan(&number, &name, &path); err != nil {
		t.Fatal(err)
	}
	all := files(t, filepath.Dir(path))
	for _, n := range needles {
		found := false
		for _, raw := range all {
			found = found || bytes.Contains(raw, n.bytes)
		}
		if !found {
			t.Errorf("the catalog does not hold %s", n.what)
		}
	}
}
