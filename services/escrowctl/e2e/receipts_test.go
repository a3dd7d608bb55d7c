package e2e_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/client"
	"github.com/countersign-escrow/countersign/verifier/attest"
	"github.com/countersign-escrow/countersign/verifier/publickey"
)

// check looks at every receipt that was acknowledged.
func (c *crash) check() {
	c.ctl("", "--profile", c.path("acme"), "attestation", "trusted-root", "--out", c.path("trust"))
	root, err := os.ReadFile(c.path("trust/trusted_root.json"))
	if err != nil {
		c.Fatal(err)
	}
	pem, err := os.ReadFile(c.path("trust/statement.pub"))
	if err != nil {
		c.Fatal(err)
	}
	key, err := publickey.Parse(string(pem))
	if err != nil {
		c.Fatal(err)
	}
	entries := c.entries()
	seen := map[string]int{}
	for _, e := range entries {
		if seen[string(e)]++; seen[string(e)] == 2 {
			c.note(&c.wrong, "an entry is in the log twice: %s", e)
		}
	}
	vendor := c.vendor()
	for version, receipt := range c.receipts {
		file, err := os.ReadFile(c.path("releases/" + version + "/widget"))
		if err != nil {
			c.Fatal(err)
		}
		v, err := attest.Verify(receipt, root, key, attest.Policy{PredicateType: attest.TypeReceipt, Artifact: digest.Of(file)})
		if err != nil {
			c.note(&c.lost, "%s: the receipt does not verify: %v", version, err)
			continue
		}
		if body := loggedBody(c.T, receipt); v.LogIndex >= int64(len(entries)) || !bytes.Equal(entries[v.LogIndex], body) {
			c.note(&c.lost, "%s: the receipt's entry is not at index %d of the log's %d", version, v.LogIndex, len(entries))
		}
		if err := held(c.Context(), vendor, version, file); err != nil {
			c.note(&c.lost, "%s: %v", version, err)
		}
	}
}

// entries reads the log's entries from its tiles, as C2SP tlog-tiles lays them out, up to its checkpoint: what lies beyond
// is what a kill has left.
func (c *crash) entries() (all [][]byte) {
	const width = 256
	checkpoint, err := os.ReadFile(c.path("data/log/checkpoint"))
	if err != nil {
		c.Fatal(err)
	}
	lines := strings.Split(string(checkpoint), "\n")
	size, err := strconv.Atoi(lines[min(1, len(lines)-1)])
	if err != nil {
		c.Fatalf("checkpoint: %v", err)
	}
	for n := 0; len(all) < size; n++ {
		tile := c.path(fmt.Sprintf("data/log/tile/entries/x%03d/%03d", n/1000, n%1000))
		if n < 1000 {
			tile = c.path(fmt.Sprintf("data/log/tile/entries/%03d", n))
		}
		if left := size - len(all); left < width {
			tile += ".p/" + strconv.Itoa(left)
		}
		b, err := os.ReadFile(tile)
		if err != nil {
			c.Fatal(err)
		}
		for len(b) >= 2 {
			n := int(binary.BigEndian.Uint16(b))
			all = append(all, b[2:2+n])
			b = b[2+n:]
		}
	}
	return all
}

// loggedBody is the log's entry in a bundle.
func loggedBody(t *testing.T, bundle []byte) []byte {
	t.Helper()
	var b struct {
		VerificationMaterial struct {
			TlogEntries []struct {
				CanonicalizedBody string `json:"canonicalizedBody"`
			} `json:"tlogEntries"`
		} `json:"verificationMaterial"`
	}
	if err := json.Unmarshal(bundle, &b); err != nil || len(b.VerificationMaterial.TlogEntries) != 1 {
		t.Fatalf("no bundle with one entry: %v", err)
	}
	body, err := base64.StdEncoding.DecodeString(b.VerificationMaterial.TlogEntries[0].CanonicalizedBody)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// held says whether the service still holds a release's artifact.
func held(ctx context.Context, vendor *client.Client, version string, file []byte) error {
	stream, err := vendor.Evaluation.ReadBlob(ctx, &pb.ReadBlobRequest{
		Release: "organizations/acme/products/widget/releases/" + version, Digest: digest.Of(file).String(),
	})
	if err != nil {
		return err
	}
	var got []byte
	for len(got) < len(file) {
		m, err := stream.Recv()
		if err != nil {
			return fmt.Errorf("its artifact: %w", err)
		}
		got = append(got, m.GetData()...)
	}
	if !bytes.Equal(got, file) {
		return fmt.Errorf("its artifact is %q, was %q", got, file)
	}
	return nil
}

// checkCatalog looks for what is half done, once the service has stopped.
func (c *crash) checkCatalog() {
	cat, err := catalog.Open(c.Context(), c.path("data/catalog.db"))
	if err != nil {
		c.Fatal(err)
	}
	defer cat.Close() //nolint:errcheck // it was only read
	product := resource.Product{Vendor: resource.Organization{ID: "acme"}, ID: "widget"}
	err = cat.View(context.Background(), func(tx *catalog.Tx) error {
		for after := ""; ; {
			list, err := tx.Releases(product, after, 100)
			if err != nil || len(list) == 0 {
				return err
			}
			for _, r := range list {
				after = r.Name.Version
				if err := c.checkRelease(tx, r.Name); err != nil {
					return err
				}
			}
		}
	})
	if err != nil {
		c.Error(err)
	}
}

// checkRelease says whether a release is sealed whole, and nothing was found of it twice.
func (c *crash) checkRelease(tx *catalog.Tx, name resource.Release) error {
	r, err := tx.Release(name)
	if err != nil {
		return err
	}
	if r.State != catalog.ReleaseSealed || c.receipts[name.Version] == nil {
		c.note(&c.wrong, "%s: is %s, and its receipt was not given", name, r.State)
		return nil
	}
	receipt, err := tx.Attestation(r.ReceiptID)
	if err != nil {
		return err
	}
	if !bytes.Equal(receipt.Bundle, c.receipts[name.Version]) {
		c.note(&c.wrong, "%s: the receipt is another than was given", name)
	}
	if files, err := tx.ReleaseFiles(name); err != nil || len(files) < 4 {
		c.note(&c.wrong, "%s: has %d files (%v)", name, len(files), err)
	}
	findings, err := tx.Findings(name, 0, 1000)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, f := range findings {
		about := fmt.Sprint(f.Check, f.Artifact, f.Rebuilder)
		if seen[about] {
			c.note(&c.wrong, "%s: %s was found twice", name, about)
		}
		seen[about] = true
		if att, err := tx.Attestation(f.AttestationID); err != nil || att.State != catalog.AttestationPublished {
			c.note(&c.wrong, "%s: the finding %s has no attestation in the log (%v)", name, about, err)
		}
	}
	return nil
}
