package deposit_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/rpc/rpcfault"
	"github.com/countersign-escrow/countersign/services/internal/rpc/rpctest"
	"github.com/countersign-escrow/countersign/services/internal/servicetest"
	"github.com/countersign-escrow/countersign/verifier/attest"
)

var files = map[string]string{"app": "the app", "tool": "the tool"}

func started(t *testing.T) (*servicetest.Stage, *servicetest.Vendor) {
	t.Helper()
	s := servicetest.New(t)
	s.Sandbox.Makes(files)
	s.Start(t)
	return s, s.Vendor(t, "acme")
}

func TestSealAnswersWithAReceiptThatVerifies(t *testing.T) {
	s, v := started(t)
	r := v.Prepare(t, "1.0", files)
	r.Sign(t, v.Key)
	v.Open(t, r)
	resp, err := v.Seal(t.Context(), t, r)
	if err != nil {
		t.Fatal(err)
	}
	for _, subject := range []digest.Digest{digest.Of(r.Raw(t)), digest.Of([]byte("the app")), digest.Of([]byte("the tool"))} {
		got, err := attest.Verify(resp.GetReceiptBundle(), s.Root, s.Statement, attest.Policy{Artifact: subject, PredicateType: attest.TypeReceipt})
		if err != nil {
			t.Errorf("subject %s: %v", subject, err)
		} else if !strings.Contains(string(got.Statement.Predicate), r.Name.String()) {
			t.Errorf("the receipt says %s", got.Statement.Predicate)
		}
	}
	m := resp.GetRelease()
	if m.GetState() != pb.ReleaseState_RELEASE_STATE_SEALED || m.GetManifestDigest() != digest.Of(r.Raw(t)).String() || m.GetReceipt() == "" || m.GetSealTime() == nil {
		t.Errorf("the release: %v", m)
	}
}

func TestSealedTwice(t *testing.T) {
	_, v := started(t)
	r := v.Prepare(t, "1.0", files)
	r.Sign(t, v.Key)
	v.Open(t, r)
	first, err := v.Seal(t.Context(), t, r)
	if err != nil {
		t.Fatal(err)
	}
	again, err := v.Seal(t.Context(), t, r)
	if err != nil || !bytes.Equal(first.GetReceiptBundle(), again.GetReceiptBundle()) {
		t.Errorf("the same call again: another answer, %v", err)
	}
	id := r.RequestID
	for what, other := range map[string]string{"another id": uuid.NewString(), "no id": ""} {
		r.RequestID = other
		_, err := v.Seal(t.Context(), t, r)
		rpctest.WantCode(t, what, err, codes.FailedPrecondition, "RELEASE_SEALED")
	}
	r.RequestID = id
	r.Manifest.Recipe.Argv = append(r.Manifest.Recipe.Argv, "-O2")
	_, err = v.Seal(t.Context(), t, r)
	rpctest.WantCode(t, "the same id with another manifest", err, codes.FailedPrecondition, "RELEASE_SEALED")
}

// A client whose connection broke repeats its call while the first one is still at work.
func TestTheSameSealAtTheSameTime(t *testing.T) {
	_, v := started(t)
	r := v.Prepare(t, "1.0", files)
	r.Sign(t, v.Key)
	v.Open(t, r)
	request := &pb.SealReleaseRequest{Name: r.Name.String(), Manifest: r.Raw(t), Signatures: r.Signatures, RequestId: r.RequestID}
	receipts := make(chan string, 4)
	for range cap(receipts) {
		go func() {
			resp, err := v.Deposit.SealRelease(t.Context(), request)
			if err != nil {
				t.Error(err)
			}
			receipts <- string(resp.GetReceiptBundle())
		}()
	}
	first := <-receipts
	for range cap(receipts) - 1 {
		if other := <-receipts; other != first || first == "" {
			t.Error("the same seal was answered with different receipts")
		}
	}
}

// Different seals of one release at the same time: one wins, and the others learn of it.
func TestSealedAtTheSameTime(t *testing.T) {
	s, v := started(t)
	r := v.Prepare(t, "1.0", files)
	r.Sign(t, v.Key)
	v.Open(t, r)
	errs := make(chan error, 4)
	for range cap(errs) {
		go func() {
			_, err := v.Deposit.SealRelease(t.Context(), &pb.SealReleaseRequest{Name: r.Name.String(), Manifest: r.Raw(t), Signatures: r.Signatures, RequestId: uuid.NewString()})
			errs <- err
		}()
	}
	won := 0
	for range cap(errs) {
		if err := <-errs; err == nil {
			won++
		} else {
			rpctest.WantCode(t, "a seal that lost", err, codes.FailedPrecondition, "RELEASE_SEALED")
		}
	}
	receipts := 0
	err := s.Catalog.View(t.Context(), func(tx *catalog.Tx) error {
		list, err := tx.AttestationsPage(catalog.AttestationFilter{Viewer: v.Name, Now: time.Now(), Release: r.Name, PredicateType: attest.TypeReceipt, Limit: 10})
		receipts = len(list)
		return err
	})
	if err != nil || won != 1 || receipts != 1 {
		t.Errorf("%d seals won, %d receipts, %v", won, receipts, err)
	}
}

func TestASecondReleaseUnderTheSameVersion(t *testing.T) {
	_, v := started(t)
	request := &pb.CreateReleaseRequest{Parent: v.Product.String(), ReleaseId: "1.0", RequestId: uuid.NewString()}
	for range 2 {
		if _, err := v.Deposit.CreateRelease(t.Context(), request); err != nil {
			t.Fatalf("the same request: %v", err)
		}
	}
	_, err := v.Deposit.CreateRelease(t.Context(), &pb.CreateReleaseRequest{Parent: v.Product.String(), ReleaseId: "1.0"})
	rpctest.WantCode(t, "while it is open", err, codes.AlreadyExists, "")
	if err := rpcfault.FromStatus(err); !strings.Contains(err.Error(), "seal it") {
		t.Errorf("the advice while it is open: %v", err)
	}
	r := v.Prepare(t, "1.0", files)
	for d, content := range r.Blobs {
		if err := v.Upload(t.Context(), d, content); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := v.Seal(t.Context(), t, r); err != nil {
		t.Fatal(err)
	}
	_, err = v.Deposit.CreateRelease(t.Context(), &pb.CreateReleaseRequest{Parent: v.Product.String(), ReleaseId: "1.0"})
	rpctest.WantCode(t, "when it is sealed", err, codes.AlreadyExists, "")
	if err := rpcfault.FromStatus(err); !strings.Contains(err.Error(), "new version") {
		t.Errorf("the advice when it is sealed: %v", err)
	}
}

func TestSealRefusesWhatDoesNotFit(t *testing.T) {
	_, v := started(t)
	for name, c := range map[string]struct {
		spoil  func(*servicetest.Release, *pb.SealReleaseRequest)
		code   codes.Code
		reason string
		says   string
	}{
		"an artifact that is not held": {func(r *servicetest.Release, _ *pb.SealReleaseRequest) {
			r.Manifest.Artifacts[1].Digest = digest.Of([]byte("never sent"))
		}, codes.FailedPrecondition, "BLOBS_MISSING", "artifacts[1].digest"},
		"a source that is not held": {func(r *servicetest.Release, _ *pb.SealReleaseRequest) {
			r.Manifest.Sources[0].Digest = digest.Of([]byte("never sent"))
		}, codes.FailedPrecondition, "BLOBS_MISSING", "sources[0].digest"},
		"another size": {func(r *servicetest.Release, _ *pb.SealReleaseRequest) { r.Manifest.Artifacts[0].Size++ }, codes.InvalidArgument, "", "artifacts[0].size"},
		"an environment that is not held": {func(r *servicetest.Release, _ *pb.SealReleaseRequest) {
			r.Manifest.Environment.Image = digest.Of([]byte("no image"))
		}, codes.FailedPrecondition, "BLOBS_MISSING", "environment.image"},
		"an environment that is no image": {func(r *servicetest.Release, _ *pb.SealReleaseRequest) {
			r.Manifest.Environment.Image = r.Manifest.Artifacts[0].Digest
		}, codes.InvalidArgument, "", "image"},
		"another release": {func(r *servicetest.Release, _ *pb.SealReleaseRequest) { r.Manifest.Version = "9.9" }, codes.InvalidArgument, "", "9.9"},
		"an unknown field": {func(_ *servicetest.Release, q *pb.SealReleaseRequest) {
			q.Manifest = []byte(`{"scheme":1}`)
		}, codes.InvalidArgument, "", "scheme"},
		"a request id that is none": {func(_ *servicetest.Release, q *pb.SealReleaseRequest) { q.RequestId = "x" }, codes.InvalidArgument, "", "request_id"},
	} {
		t.Run(name, func(t *testing.T) {
			r := v.Prepare(t, "v-"+uuid.NewString(), files)
			v.Open(t, r)
			q := &pb.SealReleaseRequest{Name: r.Name.String(), RequestId: r.RequestID}
			c.spoil(r, q)
			if q.Manifest == nil {
				q.Manifest = r.Raw(t)
			}
			_, err := v.Deposit.SealRelease(t.Context(), q)
			rpctest.WantCode(t, "seal", err, c.code, c.reason)
			if err != nil && !strings.Contains(rpcfault.FromStatus(err).Error(), c.says) {
				t.Errorf("%v does not name %s", rpcfault.FromStatus(err), c.says)
			}
			got, err := v.Deposit.GetRelease(t.Context(), &pb.GetReleaseRequest{Name: r.Name.String()})
			if err != nil || got.GetRelease().GetState() != pb.ReleaseState_RELEASE_STATE_OPEN {
				t.Errorf("afterwards: %v, %v", got, err)
			}
		})
	}
}

func TestAnotherVendorsThingsAreOutOfReach(t *testing.T) {
	s, v := started(t)
	r := v.Release(t, "1.0", files)
	other := s.Vendor(t, "rival").Deposit
	ctx := t.Context()
	app := digest.Of([]byte("the app"))
	for what, call := range map[string]func() error{
		"CreateProduct": func() error {
			_, err := other.CreateProduct(ctx, &pb.CreateProductRequest{Parent: v.Name.String(), ProductId: "x"})
			return err
		},
		"ListProducts": func() error {
			_, err := other.ListProducts(ctx, &pb.ListProductsRequest{Parent: v.Name.String()})
			return err
		},
		"CreateRelease": func() error {
			_, err := other.CreateRelease(ctx, &pb.CreateReleaseRequest{Parent: v.Product.String(), ReleaseId: "2.0"})
			return err
		},
		"GetRelease": func() error {
			_, err := other.GetRelease(ctx, &pb.GetReleaseRequest{Name: r.Name.String()})
			return err
		},
		"ListReleases": func() error {
			_, err := other.ListReleases(ctx, &pb.ListReleasesRequest{Parent: v.Product.String()})
			return err
		},
		"FindMissingBlobs": func() error {
			_, err := other.FindMissingBlobs(ctx, &pb.FindMissingBlobsRequest{Parent: v.Name.String(), Blobs: []*pb.Blob{{Digest: app.String(), Size: 7}}})
			return err
		},
		"QueryWriteStatus": func() error {
			_, err := other.QueryWriteStatus(ctx, &pb.QueryWriteStatusRequest{ResourceName: v.UploadName(app, 7)})
			return err
		},
		"SealRelease": func() error {
			_, err := other.SealRelease(ctx, &pb.SealReleaseRequest{Name: r.Name.String(), Manifest: r.Raw(t)})
			return err
		},
		"ListAccessRecords": func() error {
			_, err := other.ListAccessRecords(ctx, &pb.ListAccessRecordsRequest{Parent: v.Name.String()})
			return err
		},
		"CreateEnvironment": func() error {
			_, err := other.CreateEnvironment(ctx, &pb.CreateEnvironmentRequest{Parent: v.Name.String(), Image: app.String()})
			return err
		},
		"WatchRelease": func() error {
			stream, err := other.WatchRelease(ctx, &pb.WatchReleaseRequest{Name: r.Name.String()})
			if err == nil {
				_, err = stream.Recv()
			}
			return err
		},
		"Write": func() error {
			stream, err := other.Write(ctx)
			if err != nil {
				return err
			}
			_ = stream.Send(&pb.WriteRequest{ResourceName: v.UploadName(app, 7), Data: []byte("the app"), FinishWrite: true})
			_, err = stream.CloseAndRecv()
			return err
		},
	} {
		rpctest.WantCode(t, what, call(), codes.PermissionDenied, "NOT_YOURS")
	}
	// What one vendor holds tells another one nothing.
	missing, err := other.FindMissingBlobs(ctx, &pb.FindMissingBlobsRequest{Parent: "organizations/rival", Blobs: []*pb.Blob{{Digest: app.String(), Size: 7}}})
	if err != nil || len(missing.GetMissing()) != 1 {
		t.Errorf("missing: %v, %v", missing, err)
	}
}

func TestWatchReleaseGoesOnAfterACut(t *testing.T) {
	_, v := started(t)
	r := v.Release(t, "1.0", files)
	v.Checked(t, r)
	whole := watch(t, v, r, 0, 0)
	if len(whole) < 8 || whole[len(whole)-1].GetRelease().GetChecksComplete() != true {
		t.Fatalf("events: %v", whole)
	}
	findings := 0
	for i, e := range whole {
		if e.GetSequence() != int64(i+1) {
			t.Errorf("event %d has the number %d", i, e.GetSequence())
		}
		if e.GetFinding() != nil {
			findings++
		}
	}
	if findings != 6 {
		t.Errorf("%d findings, want 6", findings)
	}
	if rest := watch(t, v, r, whole[2].GetSequence(), 0); len(rest) != len(whole)-3 || rest[0].GetSequence() != whole[3].GetSequence() {
		t.Errorf("after the third event: %v", rest)
	}
}

// watch reads events until none comes for a while.
func watch(t *testing.T, v *servicetest.Vendor, r *servicetest.Release, after int64, quiet time.Duration) (events []*pb.WatchReleaseResponse) {
	t.Helper()
	if quiet == 0 {
		quiet = 500 * time.Millisecond
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := v.Deposit.WatchRelease(ctx, &pb.WatchReleaseRequest{Name: r.Name.String(), AfterSequence: after})
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan *pb.WatchReleaseResponse)
	go func() {
		defer close(got)
		for {
			e, err := stream.Recv()
			if err != nil {
				return
			}
			got <- e
		}
	}()
	for {
		select {
		case e := <-got:
			events = append(events, e)
		case <-time.After(quiet):
			cancel()
			for range got { //nolint:revive // until the reader has ended
			}
			return events
		}
	}
}

func TestWatchReleaseTellsWhatHappensNext(t *testing.T) {
	s := servicetest.New(t)
	s.Sandbox.Makes(files)
	v := s.Vendor(t, "acme")
	r := v.Prepare(t, "1.0", files)
	v.Open(t, r)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	stream, err := v.Deposit.WatchRelease(ctx, &pb.WatchReleaseRequest{Name: r.Name.String()})
	if err != nil {
		t.Fatal(err)
	}
	s.Start(t)
	go v.Seal(ctx, t, r) //nolint:errcheck // seen in what is watched
	for complete := false; !complete; {
		e, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		complete = e.GetRelease().GetChecksComplete()
	}
}

func TestEnvironments(t *testing.T) {
	_, v := started(t)
	r := v.Prepare(t, "1.0", files)
	image := r.Manifest.Environment.Image
	create := func() (*pb.CreateEnvironmentResponse, error) {
		return v.Deposit.CreateEnvironment(t.Context(), &pb.CreateEnvironmentRequest{Parent: v.Name.String(), Image: image.String(), DisplayName: "a compiler"})
	}
	_, err := create()
	rpctest.WantCode(t, "before it is held", err, codes.FailedPrecondition, "BLOBS_MISSING")
	if err := v.Upload(t.Context(), image, r.Blobs[image]); err != nil {
		t.Fatal(err)
	}
	_, err = create()
	rpctest.WantCode(t, "while its configuration is missing", err, codes.FailedPrecondition, "BLOBS_MISSING")
	v.Open(t, r)
	first, err := create()
	if err != nil {
		t.Fatal(err)
	}
	again, err := create()
	if err != nil || again.GetEnvironment().GetName() != first.GetEnvironment().GetName() {
		t.Errorf("again: %v, %v", again, err)
	}
	env := first.GetEnvironment()
	if env.GetPlatform() != "linux/amd64" || env.GetSize() == 0 || env.GetDisplayName() != "a compiler" {
		t.Errorf("environment: %v", env)
	}
	got, err := v.Deposit.GetEnvironment(t.Context(), &pb.GetEnvironmentRequest{Name: env.GetName()})
	if err != nil || got.GetEnvironment().GetImage() != image.String() {
		t.Errorf("get: %v, %v", got, err)
	}
	list, err := v.Deposit.ListEnvironments(t.Context(), &pb.ListEnvironmentsRequest{Parent: v.Name.String()})
	if err != nil || len(list.GetEnvironments()) != 1 {
		t.Errorf("list: %v, %v", list, err)
	}
}

func TestListsHavePages(t *testing.T) {
	_, v := started(t)
	for _, version := range []string{"1.0", "1.1", "1.2"} {
		if _, err := v.Deposit.CreateRelease(t.Context(), &pb.CreateReleaseRequest{Parent: v.Product.String(), ReleaseId: version}); err != nil {
			t.Fatal(err)
		}
	}
	var seen []string
	for token := ""; ; {
		resp, err := v.Deposit.ListReleases(t.Context(), &pb.ListReleasesRequest{Parent: v.Product.String(), PageSize: 2, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range resp.GetReleases() {
			seen = append(seen, r.GetName()[strings.LastIndex(r.GetName(), "/")+1:])
		}
		if token = resp.GetNextPageToken(); token == "" {
			break
		}
	}
	if strings.Join(seen, " ") != "1.0 1.1 1.2" {
		t.Errorf("releases: %v", seen)
	}
	products, err := v.Deposit.ListProducts(t.Context(), &pb.ListProductsRequest{Parent: v.Name.String()})
	if err != nil || len(products.GetProducts()) != 1 {
		t.Errorf("products: %v, %v", products, err)
	}
}

// A manifest may list one source twice, unpacked into two folders.
func TestTheSameSourceTwice(t *testing.T) {
	_, v := started(t)
	r := v.Prepare(t, "1.0", files)
	twin := r.Manifest.Sources[0]
	twin.Into = "twin"
	r.Manifest.Sources = append(r.Manifest.Sources, twin)
	r.Manifest.Artifacts = append(r.Manifest.Artifacts, manifest.Artifact{Path: "copy", Digest: r.Manifest.Artifacts[0].Digest,
		Size: r.Manifest.Artifacts[0].Size, Rebuilt: "/build/out/app", Platform: "linux/amd64"})
	v.Open(t, r)
	if _, err := v.Seal(t.Context(), t, r); err != nil {
		t.Fatal(err)
	}
	v.Checked(t, r)
}
