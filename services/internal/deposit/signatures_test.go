package deposit_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/countersign-escrow/countersign/escrow/digest"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/rpc/rpcfault"
	"github.com/countersign-escrow/countersign/services/internal/rpc/rpctest"
)

func TestSignaturesThatAreRefused(t *testing.T) {
	_, v := started(t)
	r := v.Prepare(t, "1.0", files)
	v.Open(t, r)
	app, image := r.Manifest.Artifacts[0].Digest.String(), r.Manifest.Environment.Image.String()
	one := func(s *pb.Signature) []*pb.Signature { return []*pb.Signature{{}, s} }
	for name, c := range map[string]struct {
		signatures []*pb.Signature
		code       codes.Code
		says       []string
	}{
		"too many":             {make([]*pb.Signature, 65), codes.ResourceExhausted, []string{"65 entries, 64 at most", "list of checksums"}},
		"too long":             {one(&pb.Signature{Content: make([]byte, 256<<10+1)}), codes.ResourceExhausted, []string{"signatures[1].content"}},
		"too long a list":      {one(&pb.Signature{List: make([]byte, 1<<20+1)}), codes.ResourceExhausted, []string{"signatures[1].list"}},
		"too much in all":      {lists(4, 800<<10), codes.ResourceExhausted, []string{"more than 3145728 bytes"}},
		"no media type":        {one(&pb.Signature{MediaType: strings.Repeat("x", 257)}), codes.InvalidArgument, []string{"signatures[1].media_type"}},
		"too long a name":      {one(&pb.Signature{Name: strings.Repeat("x", 256)}), codes.InvalidArgument, []string{"signatures[1].name", "256 bytes"}},
		"a name with controls": {one(&pb.Signature{Name: "a\x1b[2Jb"}), codes.InvalidArgument, []string{"signatures[1].name", "control"}},
		"a list's name too":    {one(&pb.Signature{List: []byte("x"), ListName: "a\nb"}), codes.InvalidArgument, []string{"signatures[1].list_name"}},
		"a name of no list":    {one(&pb.Signature{ListName: "SHA256SUMS"}), codes.InvalidArgument, []string{"signatures[1].list_name", "send the list"}},
		"no digest":            {one(&pb.Signature{Subject: "sha1:00"}), codes.InvalidArgument, []string{"signatures[1].subject"}},
		"not of the release":   {one(&pb.Signature{Subject: digest.Of([]byte("no")).String()}), codes.InvalidArgument, []string{"signatures[1].subject", "no source and no artifact", "very file"}},
		"the environment":      {one(&pb.Signature{Subject: image}), codes.InvalidArgument, []string{"signatures[1].subject"}},
		"the manifest":         {one(&pb.Signature{Subject: digest.Of(r.Raw(t)).String()}), codes.InvalidArgument, []string{"has no subject"}},
		"subject and list":     {one(&pb.Signature{Subject: app, List: []byte("x")}), codes.InvalidArgument, []string{"signatures[1].subject", "must be empty"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := v.Deposit.SealRelease(t.Context(), &pb.SealReleaseRequest{Name: r.Name.String(), Manifest: r.Raw(t), Signatures: c.signatures, RequestId: uuid.NewString()})
			rpctest.WantCode(t, "seal", err, c.code, "")
			for _, want := range c.says {
				if err != nil && !strings.Contains(rpcfault.FromStatus(err).Error(), want) {
					t.Errorf("%v does not say %q", rpcfault.FromStatus(err), want)
				}
			}
		})
	}
}

func lists(n, size int) []*pb.Signature {
	all := make([]*pb.Signature, n)
	for i := range all {
		all[i] = &pb.Signature{List: make([]byte, size)}
	}
	return all
}

// What a vendor sends with its signatures comes back whole, to it and to labs.
func TestSignaturesAreKept(t *testing.T) {
	s, v := started(t)
	r := v.Prepare(t, "1.0", files)
	r.Sign(t, v.Key)
	r.Signatures = append(r.Signatures,
		&pb.Signature{MediaType: "application/pgp-signature", Content: []byte{0, 255}, Name: "src.tar.asc", Subject: r.Manifest.Sources[0].Digest.String()},
		&pb.Signature{MediaType: "a/b", Content: []byte("y"), Subject: r.Manifest.Artifacts[0].Digest.String()},
		&pb.Signature{MediaType: "c/d", Content: []byte("x"), Name: "é", List: []byte{1, 0}, ListName: "SHA256SUMS"})
	v.Open(t, r)
	if _, err := v.Seal(t.Context(), t, r); err != nil {
		t.Fatal(err)
	}
	evaluation := pb.NewEvaluationServiceClient(s.Member(t, v.Name))
	resp, err := evaluation.GetSealedRelease(t.Context(), &pb.GetSealedReleaseRequest{Name: r.Name.String()})
	if err != nil || len(resp.GetSignatures()) != len(r.Signatures) {
		t.Fatalf("%d signatures, %v", len(resp.GetSignatures()), err)
	}
	for i, got := range resp.GetSignatures() {
		if !proto.Equal(got, r.Signatures[i]) {
			t.Errorf("signature %d: sent %v, got %v", i, r.Signatures[i], got)
		}
	}
}
