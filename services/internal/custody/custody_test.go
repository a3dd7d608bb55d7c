package custody_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/scrub"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/rpc/rpctest"
	"github.com/countersign-escrow/countersign/services/internal/servicetest"
)

// stage is a service with a vendor, whose one release is sealed, and the operator.
type stage struct {
	*servicetest.Stage
	vendor   *servicetest.Vendor
	release  *servicetest.Release
	operator pb.CustodyServiceClient
	own      pb.CustodyServiceClient // the vendor's
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{Stage: servicetest.New(t)}
	s.Start(t)
	s.vendor = s.Vendor(t, "acme")
	s.release = s.vendor.Release(t, "1.0", map[string]string{"bin/switch": "firmware", "bin/tool": "tool"})
	s.operator = pb.NewCustodyServiceClient(s.Member(t, s.Operator))
	s.own = pb.NewCustodyServiceClient(s.Member(t, s.vendor.Name))
	return s
}

func (s *stage) retentionName() string { return s.release.Name.String() + "/retention" }

func must[T any](t *testing.T) func(T, error) T { return rpctest.Must[T](t) }

// member connects as a member of a new organization.
func (s *stage) member(t *testing.T, id string, kind catalog.Kind) pb.CustodyServiceClient {
	t.Helper()
	_, conn := s.Connect(t, id, kind, "NO")
	return pb.NewCustodyServiceClient(conn)
}

// locks are those that the store keeps on the files of a release.
func (s *stage) locks(t *testing.T, r *servicetest.Release) map[digest.Digest]object.Lock {
	t.Helper()
	all := map[digest.Digest]object.Lock{}
	for d := range r.Blobs {
		lock, err := s.Blobs.(scrub.Locks).Kept(t.Context(), blob.Ref{Holder: s.vendor.Name, Digest: d})
		if err != nil {
			t.Fatal(err)
		}
		all[d] = lock
	}
	return all
}

// locked waits until every file of a release is locked like that.
func (s *stage) locked(t *testing.T, r *servicetest.Release, want object.Lock) {
	t.Helper()
	servicetest.Eventually(t, "the locks on "+r.Name.String(), func() bool {
		for _, lock := range s.locks(t, r) {
			if lock.Hold != want.Hold || !lock.Until.Equal(want.Until) {
				return false
			}
		}
		return true
	})
}

// fiveYears is until when something is kept that happens now.
func (s *stage) fiveYears() time.Time {
	y, m, d := s.Clock.Now().UTC().AddDate(5, 0, 0).Date()
	return time.Date(y, m, d+1, 0, 0, 0, 0, time.UTC)
}

func TestWhoMayCallWhat(t *testing.T) {
	s := newStage(t)
	hold := must[*pb.PlaceHoldResponse](t)(s.operator.PlaceHold(t.Context(), &pb.PlaceHoldRequest{Parent: s.release.Name.String(), Reason: "a case"})).GetHold()
	run := must[*pb.StartScrubResponse](t)(s.operator.StartScrub(t.Context(), &pb.StartScrubRequest{Parent: s.Operator.String()})).GetScrub()
	servicetest.Eventually(t, "the end of the scrub", func() bool {
		return must[*pb.GetScrubResponse](t)(s.operator.GetScrub(t.Context(), &pb.GetScrubRequest{Name: run.GetName()})).GetScrub().GetEndTime() != nil
	})
	clients := map[string]pb.CustodyServiceClient{
		"operator": s.operator, "vendor": s.own, "another vendor": s.member(t, "rival", catalog.Vendor), "lab": s.member(t, "lab", catalog.Evaluator),
		"auditor": s.member(t, "auditor", catalog.Auditor), "agency": s.member(t, "agency", catalog.Agency), "stranger": pb.NewCustodyServiceClient(s.Dial(t)),
	}
	operator, owners := map[string]bool{"operator": true}, map[string]bool{"operator": true, "vendor": true}
	for name, c := range map[string]struct {
		may  map[string]bool
		call func(context.Context, pb.CustodyServiceClient) error
	}{
		"GetRetention": {owners, func(ctx context.Context, c pb.CustodyServiceClient) error {
			_, err := c.GetRetention(ctx, &pb.GetRetentionRequest{Name: s.retentionName()})
			return err
		}},
		"ListRetentions of a vendor": {owners, func(ctx context.Context, c pb.CustodyServiceClient) error {
			_, err := c.ListRetentions(ctx, &pb.ListRetentionsRequest{Parent: s.vendor.Name.String()})
			return err
		}},
		"ListRetentions of a product": {owners, func(ctx context.Context, c pb.CustodyServiceClient) error {
			_, err := c.ListRetentions(ctx, &pb.ListRetentionsRequest{Parent: s.vendor.Product.String()})
			return err
		}},
		"ListRetentions of all": {operator, func(ctx context.Context, c pb.CustodyServiceClient) error {
			_, err := c.ListRetentions(ctx, &pb.ListRetentionsRequest{Parent: "organizations/-"})
			return err
		}},
		"ExtendRetention": {owners, func(ctx context.Context, c pb.CustodyServiceClient) error {
			_, err := c.ExtendRetention(ctx, &pb.ExtendRetentionRequest{Name: s.retentionName(), Extension: &pb.ExtendRetentionRequest_Years{Years: 6}})
			return err
		}},
		"PlaceHold": {operator, func(ctx context.Context, c pb.CustodyServiceClient) error {
			_, err := c.PlaceHold(ctx, &pb.PlaceHoldRequest{Parent: s.release.Name.String(), Reason: "a case"})
			return err
		}},
		"LiftHold": {operator, func(ctx context.Context, c pb.CustodyServiceClient) error {
			_, err := c.LiftHold(ctx, &pb.LiftHoldRequest{Name: hold.GetName(), Reason: "closed"})
			return err
		}},
		"ListHolds of a vendor": {owners, func(ctx context.Context, c pb.CustodyServiceClient) error {
			_, err := c.ListHolds(ctx, &pb.ListHoldsRequest{Parent: s.vendor.Name.String()})
			return err
		}},
		"ListHolds of a release": {owners, func(ctx context.Context, c pb.CustodyServiceClient) error {
			_, err := c.ListHolds(ctx, &pb.ListHoldsRequest{Parent: s.release.Name.String()})
			return err
		}},
		"ListHolds of all": {operator, func(ctx context.Context, c pb.CustodyServiceClient) error {
			_, err := c.ListHolds(ctx, &pb.ListHoldsRequest{Parent: "organizations/-"})
			return err
		}},
		"GetScrub": {operator, func(ctx context.Context, c pb.CustodyServiceClient) error {
			_, err := c.GetScrub(ctx, &pb.GetScrubRequest{Name: run.GetName()})
			return err
		}},
		"ListScrubs": {operator, func(ctx context.Context, c pb.CustodyServiceClient) error {
			_, err := c.ListScrubs(ctx, &pb.ListScrubsRequest{Parent: s.Operator.String()})
			return err
		}},
		"ListScrubDamages": {operator, func(ctx context.Context, c pb.CustodyServiceClient) error {
			_, err := c.ListScrubDamages(ctx, &pb.ListScrubDamagesRequest{Parent: run.GetName()})
			return err
		}},
		"StartScrub": {operator, func(ctx context.Context, c pb.CustodyServiceClient) error {
			_, err := c.StartScrub(ctx, &pb.StartScrubRequest{Parent: s.Operator.String()})
			return err
		}},
		"CancelScrub": {operator, func(ctx context.Context, c pb.CustodyServiceClient) error {
			_, err := c.CancelScrub(ctx, &pb.CancelScrubRequest{Name: run.GetName()})
			return err
		}},
	} {
		for who, client := range clients {
			err := c.call(t.Context(), client)
			switch {
			case c.may[who] && err != nil:
				t.Errorf("%s by %s: %v", name, who, err)
			case !c.may[who] && who == "stranger":
				rpctest.WantCode(t, name+" by "+who, err, codes.Unauthenticated, "")
			case !c.may[who]:
				rpctest.WantCode(t, name+" by "+who, err, codes.PermissionDenied, "")
			}
		}
	}
}

// Whether another vendor's release is there or not is told in the same words.
func TestOthersReleasesAreNotTold(t *testing.T) {
	s := newStage(t)
	rival := s.member(t, "rival", catalog.Vendor)
	_, there := rival.GetRetention(t.Context(), &pb.GetRetentionRequest{Name: s.retentionName()})
	_, none := rival.GetRetention(t.Context(), &pb.GetRetentionRequest{Name: "organizations/acme/products/none/releases/1/retention"})
	if there == nil || none == nil || there.Error() != none.Error() {
		t.Errorf("the answers differ: %v and %v", there, none)
	}
}

func TestEventsReachTheStore(t *testing.T) {
	s := newStage(t)
	sealed := s.fiveYears()
	s.locked(t, s.release, object.Lock{Until: sealed})
	got := func() *pb.Retention {
		return must[*pb.GetRetentionResponse](t)(s.own.GetRetention(t.Context(), &pb.GetRetentionRequest{Name: s.retentionName()})).GetRetention()
	}
	servicetest.Eventually(t, "the locks to be noted", func() bool { return got().GetLockedUntil() != nil })
	if r := got(); r.GetYears() != 5 || !r.GetRetainUntil().AsTime().Equal(sealed) || !r.GetLockedUntil().AsTime().Equal(sealed) ||
		r.GetSealTime() == nil || r.GetLastReadTime() != nil || r.GetLastReportTime() != nil || r.GetHeld() {
		t.Errorf("sealed: %v", r)
	}

	s.Clock.Forward(48 * time.Hour)
	lab := s.Lab(t, "lab", "FI", servicetest.PolicyMatch)
	s.vendor.Grant(t, lab.Name, 1000*time.Hour)
	servicetest.Eventually(t, "a report", func() bool { return lab.Newest(t, s.release) != nil })
	reported := s.fiveYears()
	s.locked(t, s.release, object.Lock{Until: reported})
	if r := got(); r.GetLastReportTime() == nil || !r.GetRetainUntil().AsTime().Equal(reported) || !reported.After(sealed) {
		t.Errorf("reported: %v", r)
	}

	s.Clock.Forward(48 * time.Hour)
	s.read(t, lab.Evaluation)
	read := s.fiveYears()
	s.locked(t, s.release, object.Lock{Until: read})
	first := got().GetLastReadTime().AsTime()
	s.read(t, lab.Evaluation)
	if r := got(); !r.GetLastReadTime().AsTime().Equal(first) || !r.GetRetainUntil().AsTime().Equal(read) {
		t.Errorf("read again that day: %v", r)
	}

	vendor := pb.NewEvaluationServiceClient(s.Member(t, s.vendor.Name))
	s.Clock.Forward(-72 * time.Hour)
	s.read(t, vendor)
	if r := got(); !r.GetRetainUntil().AsTime().Equal(read) {
		t.Errorf("after the clock was set back: %v", r)
	}

	s.Clock.Forward(24 * 7 * time.Hour)
	s.read(t, vendor)
	s.locked(t, s.release, object.Lock{Until: s.fiveYears()})
}

// read reads a file of the release.
func (s *stage) read(t *testing.T, client pb.EvaluationServiceClient) {
	t.Helper()
	stream := must[grpc.ServerStreamingClient[pb.ReadBlobResponse]](t)(client.ReadBlob(t.Context(), &pb.ReadBlobRequest{
		Release: s.release.Name.String(), Digest: s.release.Manifest.Artifacts[0].Digest.String()}))
	for {
		if _, err := stream.Recv(); err != nil {
			if err.Error() != "EOF" {
				t.Fatal(err)
			}
			return
		}
	}
}

func TestRetentionIsOnlyLengthened(t *testing.T) {
	s := newStage(t)
	extend := func(c pb.CustodyServiceClient, r *pb.ExtendRetentionRequest) (*pb.Retention, error) {
		r.Name = s.retentionName()
		resp, err := c.ExtendRetention(t.Context(), r)
		return resp.GetRetention(), err
	}
	years := func(n int32) *pb.ExtendRetentionRequest {
		return &pb.ExtendRetentionRequest{Extension: &pb.ExtendRetentionRequest_Years{Years: n}}
	}
	until := func(at time.Time) *pb.ExtendRetentionRequest {
		return &pb.ExtendRetentionRequest{Extension: &pb.ExtendRetentionRequest_RetainUntil{RetainUntil: timestamppb.New(at)}}
	}
	want := s.fiveYears().AddDate(5, 0, 0)
	if r, err := extend(s.own, years(10)); err != nil || r.GetYears() != 10 || r.GetRetainUntil().AsTime().Before(want.AddDate(0, 0, -1)) {
		t.Errorf("ten years: %v (%v)", r, err)
	}
	_, err := extend(s.operator, years(5))
	rpctest.WantCode(t, "five years again", err, codes.FailedPrecondition, "RETENTION_SHORTENED")
	_, err = extend(s.own, until(time.Now()))
	rpctest.WantCode(t, "until now", err, codes.FailedPrecondition, "RETENTION_SHORTENED")
	_, err = extend(s.own, &pb.ExtendRetentionRequest{})
	rpctest.WantCode(t, "neither", err, codes.InvalidArgument, "")
	_, err = extend(s.own, years(101))
	rpctest.WantCode(t, "101 years", err, codes.InvalidArgument, "")
	_, err = extend(s.own, until(time.Now().AddDate(200, 0, 0)))
	rpctest.WantCode(t, "200 years", err, codes.InvalidArgument, "")
	date := time.Date(time.Now().Year()+20, 1, 1, 0, 0, 0, 0, time.UTC)
	if r, err := extend(s.operator, until(date)); err != nil || !r.GetRetainUntil().AsTime().Equal(date) || r.GetYears() != 10 {
		t.Errorf("until a date: %v (%v)", r, err)
	}
	s.locked(t, s.release, object.Lock{Until: date})
}

func TestHoldsReachTheStore(t *testing.T) {
	s := newStage(t)
	// The second release has a file of the first.
	second := s.vendor.Release(t, "2.0", map[string]string{"bin/switch": "firmware", "bin/new": "new"})
	shared, alone := digest.Of([]byte("firmware")), digest.Of([]byte("new"))
	until := s.fiveYears()
	s.locked(t, s.release, object.Lock{Until: until})
	s.locked(t, second, object.Lock{Until: until})

	request := &pb.PlaceHoldRequest{Parent: s.release.Name.String(), Reason: "  case 7 ", RequestId: uuid.NewString()}
	first := must[*pb.PlaceHoldResponse](t)(s.operator.PlaceHold(t.Context(), request)).GetHold()
	again := must[*pb.PlaceHoldResponse](t)(s.operator.PlaceHold(t.Context(), request)).GetHold()
	if first.GetReason() != "case 7" || first.GetCreator() != "organizations/operator/members/member" || again.GetName() != first.GetName() {
		t.Errorf("placed %v, and again %v", first, again)
	}
	s.locked(t, s.release, object.Lock{Until: until, Hold: true})
	if l := s.locks(t, second); !l[shared].Hold || l[alone].Hold {
		t.Errorf("the second release's files: %v", l)
	}
	other := must[*pb.PlaceHoldResponse](t)(s.operator.PlaceHold(t.Context(), &pb.PlaceHoldRequest{Parent: second.Name.String(), Reason: "case 8"})).GetHold()
	s.locked(t, second, object.Lock{Until: until, Hold: true})

	lifted := must[*pb.LiftHoldResponse](t)(s.operator.LiftHold(t.Context(), &pb.LiftHoldRequest{Name: first.GetName(), Reason: "closed"})).GetHold()
	if lifted.GetLiftReason() != "closed" || lifted.GetLiftTime() == nil || lifted.GetLifter() == "" || lifted.GetReason() != "case 7" {
		t.Errorf("lifted %v", lifted)
	}
	tool := digest.Of([]byte("tool")) // only the first release has it
	servicetest.Eventually(t, "the hold to be lifted", func() bool { return !s.locks(t, s.release)[tool].Hold })
	servicetest.Eventually(t, "the first release to be told", func() bool { return s.toldHold(t) == 1 })
	if l := s.locks(t, second); !l[shared].Hold || !l[alone].Hold {
		t.Errorf("the hold on the second release is gone: %v", l)
	}
	must[*pb.LiftHoldResponse](t)(s.operator.LiftHold(t.Context(), &pb.LiftHoldRequest{Name: other.GetName(), Reason: "closed"}))
	s.locked(t, s.release, object.Lock{Until: until})
	s.locked(t, second, object.Lock{Until: until})

	_, err := s.operator.LiftHold(t.Context(), &pb.LiftHoldRequest{Name: other.GetName(), Reason: "closed"})
	rpctest.WantCode(t, "lifted twice", err, codes.FailedPrecondition, "HOLD_LIFTED")
	for name, c := range map[string]struct {
		parent string
		lifted bool
		want   int
	}{"standing": {s.vendor.Name.String(), false, 0}, "all": {s.vendor.Name.String(), true, 2}, "of a release": {second.Name.String(), true, 1}} {
		list := must[*pb.ListHoldsResponse](t)(s.own.ListHolds(t.Context(), &pb.ListHoldsRequest{Parent: c.parent, ShowLifted: c.lifted}))
		if len(list.GetHolds()) != c.want {
			t.Errorf("%s: %v", name, list)
		}
	}
}

// toldHold counts the releases whose files the store was told to hold.
func (s *stage) toldHold(t *testing.T) (n int) {
	t.Helper()
	err := s.Catalog.View(t.Context(), func(tx *catalog.Tx) error {
		all, err := tx.Retentions(catalog.RetentionFilter{})
		for _, r := range all {
			if r.LockedHold {
				n++
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestHoldsThatAreRefused(t *testing.T) {
	s := newStage(t)
	_, err := s.vendor.Deposit.CreateRelease(t.Context(), &pb.CreateReleaseRequest{Parent: s.vendor.Product.String(), ReleaseId: "3.0"})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		request *pb.PlaceHoldRequest
		code    codes.Code
		reason  string
	}{
		"no reason":    {&pb.PlaceHoldRequest{Parent: s.release.Name.String(), Reason: " "}, codes.InvalidArgument, ""},
		"a long one":   {&pb.PlaceHoldRequest{Parent: s.release.Name.String(), Reason: string(make([]byte, 1001))}, codes.InvalidArgument, ""},
		"open release": {&pb.PlaceHoldRequest{Parent: s.vendor.Product.String() + "/releases/3.0", Reason: "x"}, codes.FailedPrecondition, "RELEASE_OPEN"},
		"no release":   {&pb.PlaceHoldRequest{Parent: s.vendor.Product.String() + "/releases/4.0", Reason: "x"}, codes.NotFound, ""},
		"malformed":    {&pb.PlaceHoldRequest{Parent: "acme/1.0", Reason: "x"}, codes.InvalidArgument, ""},
		"request id":   {&pb.PlaceHoldRequest{Parent: s.release.Name.String(), Reason: "x", RequestId: "1"}, codes.InvalidArgument, ""},
	} {
		_, err := s.operator.PlaceHold(t.Context(), c.request)
		rpctest.WantCode(t, name, err, c.code, c.reason)
	}
	_, err = s.own.GetRetention(t.Context(), &pb.GetRetentionRequest{Name: s.vendor.Product.String() + "/releases/3.0/retention"})
	rpctest.WantCode(t, "retention of an open release", err, codes.NotFound, "")
}

func TestRetentionsComeInPages(t *testing.T) {
	s := newStage(t)
	s.vendor.Release(t, "2.0", map[string]string{"bin/switch": "second"})
	var names []string
	for token := ""; ; {
		resp := must[*pb.ListRetentionsResponse](t)(s.operator.ListRetentions(t.Context(), &pb.ListRetentionsRequest{Parent: "organizations/-", PageSize: 1, PageToken: token}))
		for _, r := range resp.GetRetentions() {
			names = append(names, r.GetName())
		}
		if token = resp.GetNextPageToken(); token == "" {
			break
		}
	}
	if len(names) != 2 || names[0] != s.retentionName() {
		t.Errorf("listed %v", names)
	}
}
