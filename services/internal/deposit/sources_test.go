package deposit_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/rpc/rpcfault"
	"github.com/countersign-escrow/countersign/services/internal/rpc/rpctest"
)

// What completes a source is a file of the release: it must be held for the seal, and is recorded with it.
func TestFilesThatCompleteASource(t *testing.T) {
	s, v := started(t)
	earlier, large := []byte("an earlier bundle"), []byte("a large file")
	file := func(b []byte) manifest.File { return manifest.File{Digest: digest.Of(b), Size: int64(len(b))} }
	r := v.Prepare(t, "1.1", files)
	bundle := []byte("# no bundle, which the check will say")
	r.Manifest.Sources = append(r.Manifest.Sources, manifest.Source{Kind: manifest.GitBundle, Name: "src.bundle", Tag: "v1.1", Into: "lib",
		Digest: r.Blobs.Put(bundle), Size: int64(len(bundle)), Bases: []manifest.File{file(earlier)}, LFS: []manifest.File{file(large)}})
	r.Sign(t, v.Key)
	v.Open(t, r)
	for _, lacking := range []struct {
		field string
		b     []byte
	}{{"sources[1].bases[0].digest", earlier}, {"sources[1].lfs[0].digest", large}} {
		_, err := v.Seal(t.Context(), t, r)
		rpctest.WantCode(t, lacking.field, err, codes.FailedPrecondition, "BLOBS_MISSING")
		if err != nil && !strings.Contains(rpcfault.FromStatus(err).Error(), lacking.field) {
			t.Errorf("%v does not name %s", err, lacking.field)
		}
		if err := v.Upload(t.Context(), digest.Of(lacking.b), lacking.b); err != nil {
			t.Fatal(err)
		}
	}
	missing, err := v.Deposit.FindMissingBlobs(t.Context(), &pb.FindMissingBlobsRequest{Parent: v.Name.String(), Blobs: []*pb.Blob{
		{Digest: digest.Of(earlier).String(), Size: int64(len(earlier))}, {Digest: digest.Of(large).String(), Size: int64(len(large))}}})
	if err != nil || len(missing.GetMissing()) != 0 {
		t.Errorf("would be sent again: %v, %v", missing, err)
	}
	if _, err := v.Seal(t.Context(), t, r); err != nil {
		t.Fatal(err)
	}
	roles := map[digest.Digest]string{}
	err = s.Catalog.View(t.Context(), func(tx *catalog.Tx) error {
		list, err := tx.ReleaseFiles(r.Name)
		for _, f := range list {
			roles[f.Digest] += fmt.Sprint(f.Role, " ", f.Path)
		}
		return err
	})
	if err != nil || roles[digest.Of(earlier)] != "SOURCE src.bundle: base 1" || roles[digest.Of(large)] != "SOURCE src.bundle: Git LFS object" {
		t.Errorf("%q, %v", roles, err)
	}
}
