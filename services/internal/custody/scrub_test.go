package custody_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/retention"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/jobs"
	"github.com/countersign-escrow/countersign/services/internal/rpc/rpctest"
	"github.com/countersign-escrow/countersign/services/internal/servicetest"
)

// scrub runs a scrub and returns it with what it found.
func (s *stage) scrub(t *testing.T) (*pb.Scrub, []*pb.ScrubDamage) {
	t.Helper()
	started := must[*pb.StartScrubResponse](t)(s.operator.StartScrub(t.Context(), &pb.StartScrubRequest{Parent: s.Operator.String()})).GetScrub()
	done := s.ended(t, started.GetName())
	list := must[*pb.ListScrubDamagesResponse](t)(s.operator.ListScrubDamages(t.Context(), &pb.ListScrubDamagesRequest{Parent: started.GetName()}))
	return done, list.GetDamages()
}

func (s *stage) ended(t *testing.T, name string) (last *pb.Scrub) {
	t.Helper()
	servicetest.Eventually(t, "the end of "+name, func() bool {
		last = must[*pb.GetScrubResponse](t)(s.operator.GetScrub(t.Context(), &pb.GetScrubRequest{Name: name})).GetScrub()
		return last.GetState() != pb.ScrubState_SCRUB_STATE_RUNNING
	})
	return last
}

// objects are the files of the store that hold blobs, and those that hold their locks.
func (s *stage) objects(t *testing.T) (blobs, locks []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(s.Dir, "objects"), func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || !d.Type().IsRegular():
		case strings.HasSuffix(path, ".lock"):
			locks = append(locks, path)
		case len(filepath.Base(path)) == 64:
			blobs = append(blobs, path)
		}
		return err
	})
	if err != nil || len(blobs) == 0 {
		t.Fatalf("%d objects (%v)", len(blobs), err)
	}
	return blobs, locks
}

// flip changes one bit of a file for as long as f runs.
func flip(t *testing.T, path string, at int64, f func()) {
	t.Helper()
	raw := must[[]byte](t)(os.ReadFile(path))
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	write := func(b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bad := append([]byte(nil), raw...)
	bad[at] ^= 1 << (at % 8)
	write(bad)
	f()
	write(raw)
}

// digests are those of everything in custody.
func (s *stage) digests(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	err := s.Catalog.View(t.Context(), func(tx *catalog.Tx) error {
		rows, err := tx.Holdings(catalog.Place{}, 1000)
		for _, h := range rows {
			all[h.Digest.String()] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestAFlippedBitAnywhereIsFoundAndNamed(t *testing.T) {
	s := newStage(t)
	s.locked(t, s.release, s.locks(t, s.release)[digest.Of([]byte("tool"))])
	if done, found := s.scrub(t); len(found) != 0 || done.GetDamaged() != 0 || done.GetScrubbedBlobs() != done.GetPlannedBlobs() ||
		done.GetScrubbedBytes() != done.GetPlannedBytes() || done.GetState() != pb.ScrubState_SCRUB_STATE_DONE {
		t.Fatalf("nothing is wrong, and found %v, %v", found, done)
	}
	blobs, _ := s.objects(t)
	unseen, held := s.digests(t), len(s.digests(t))
	if len(blobs) != held || held < 6 {
		t.Fatalf("%d objects for %d blobs", len(blobs), held)
	}
	for _, path := range blobs {
		size := must[os.FileInfo](t)(os.Stat(path)).Size()
		for where, at := range map[string]int64{"first": 0, "header": 20, "middle": size / 2, "last": size - 1} {
			flip(t, path, at, func() {
				done, found := s.scrub(t)
				if len(found) != 1 || done.GetDamaged() != 1 || found[0].GetKind() != pb.ScrubDamageKind_SCRUB_DAMAGE_KIND_DAMAGED {
					t.Errorf("%s, %s byte of %d: %v", filepath.Base(path), where, size, found)
					return
				}
				delete(unseen, found[0].GetDigest())
				s.named(t, found[0])
			})
		}
	}
	if len(unseen) != 0 {
		t.Errorf("never named: %v", unseen)
	}
	if _, found := s.scrub(t); len(found) != 0 {
		t.Errorf("all bits are back, and found %v", found)
	}
}

// named says whether a damage tells in which release the file is, as what and under which path.
func (s *stage) named(t *testing.T, d *pb.ScrubDamage) {
	t.Helper()
	paths := map[string]pb.FileRole{"bin/switch": pb.FileRole_FILE_ROLE_ARTIFACT, "bin/tool": pb.FileRole_FILE_ROLE_ARTIFACT,
		"source.tar": pb.FileRole_FILE_ROLE_SOURCE, "": 0}
	if len(d.GetUses()) != 1 || d.GetUses()[0].GetRelease() != s.release.Name.String() || d.Offset == nil || d.GetHolder() != s.vendor.Name.String() {
		t.Errorf("not named: %v", d)
		return
	}
	use := d.GetUses()[0]
	role, known := paths[use.GetPath()]
	switch {
	case known && role == use.GetRole():
	case use.GetPath() == "" && (use.GetRole() == pb.FileRole_FILE_ROLE_MANIFEST || use.GetRole() == pb.FileRole_FILE_ROLE_ENVIRONMENT):
	default:
		t.Errorf("named %v", use)
	}
}

func TestAMissingFileIsNamed(t *testing.T) {
	s := newStage(t)
	blobs, _ := s.objects(t)
	if err := os.Remove(blobs[0]); err != nil {
		t.Fatal(err)
	}
	done, found := s.scrub(t)
	if len(found) != 1 || done.GetMissing() != 1 || found[0].GetKind() != pb.ScrubDamageKind_SCRUB_DAMAGE_KIND_MISSING || found[0].Offset != nil {
		t.Fatalf("found %v in %v", found, done)
	}
	if len(found[0].GetUses()) != 1 || found[0].GetUses()[0].GetRelease() != s.release.Name.String() {
		t.Errorf("named %v", found[0])
	}
}

// A blob that no release names is looked at all the same.
func TestABlobOfNoReleaseIsScrubbed(t *testing.T) {
	s := newStage(t)
	before, _ := s.objects(t)
	if err := s.vendor.Upload(t.Context(), digest.Of([]byte("spare")), []byte("spare")); err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, path := range before {
		known[path] = true
	}
	after, _ := s.objects(t)
	for _, path := range after {
		if !known[path] {
			flip(t, path, 70, func() {
				if _, found := s.scrub(t); len(found) != 1 || found[0].GetDigest() != digest.Of([]byte("spare")).String() || len(found[0].GetUses()) != 0 {
					t.Errorf("found %v", found)
				}
			})
			return
		}
	}
	t.Error("no object came of the upload")
}

func TestALockThatIsGoneIsFound(t *testing.T) {
	s := newStage(t)
	servicetest.Eventually(t, "the locks to be noted", func() bool {
		return must[*pb.GetRetentionResponse](t)(s.own.GetRetention(t.Context(), &pb.GetRetentionRequest{Name: s.retentionName()})).GetRetention().GetLockedUntil() != nil
	})
	_, locks := s.objects(t)
	if err := os.Remove(locks[0]); err != nil {
		t.Fatal(err)
	}
	want := must[*pb.GetRetentionResponse](t)(s.own.GetRetention(t.Context(), &pb.GetRetentionRequest{Name: s.retentionName()})).GetRetention().GetLockedUntil().AsTime()
	if done, found := s.scrub(t); len(found) != 1 || done.GetUnprotected() != 1 {
		t.Errorf("found %v in %v", found, done)
	}
	s.locked(t, s.release, object.Lock{Until: want}) // the store was told again
	if _, found := s.scrub(t); len(found) != 0 {
		t.Errorf("found %v again", found)
	}
	// A damaged one the service cannot set anew: it tries again and again, so that this comes last.
	flip(t, locks[0], 10, func() {
		done, found := s.scrub(t)
		if len(found) != 1 || done.GetUnprotected() != 1 || done.GetDamaged() != 0 || found[0].GetKind() != pb.ScrubDamageKind_SCRUB_DAMAGE_KIND_UNPROTECTED {
			t.Errorf("found %v in %v", found, done)
		}
	})
}

func TestAScrubGoesOnAfterAStop(t *testing.T) {
	s := newStage(t)
	for i := range 4 {
		content := make([]byte, 1<<20)
		content[0] = byte(i)
		if err := s.vendor.Upload(t.Context(), digest.Of(content), content); err != nil {
			t.Fatal(err)
		}
	}
	started := must[*pb.StartScrubResponse](t)(s.operator.StartScrub(t.Context(), &pb.StartScrubRequest{Parent: s.Operator.String(), BytesPerSecond: 1 << 20})).GetScrub()
	_, err := s.operator.StartScrub(t.Context(), &pb.StartScrubRequest{Parent: s.Operator.String()})
	rpctest.WantCode(t, "a second scrub", err, codes.FailedPrecondition, "SCRUB_RUNNING")
	var part *pb.Scrub
	servicetest.Eventually(t, "the middle of the scrub", func() bool {
		part = must[*pb.GetScrubResponse](t)(s.operator.GetScrub(t.Context(), &pb.GetScrubRequest{Name: started.GetName()})).GetScrub()
		return part.GetScrubbedBytes() > 0
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := s.Queue.Stop(ctx, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Queue.Start(t.Context(), s.Pipeline.Handlers()); err != nil {
		t.Fatal(err)
	}
	done := s.ended(t, started.GetName())
	if done.GetScrubbedBlobs() != done.GetPlannedBlobs() || done.GetScrubbedBytes() != done.GetPlannedBytes() || done.GetState() != pb.ScrubState_SCRUB_STATE_DONE {
		t.Errorf("stopped at %v, and ended as %v", part, done)
	}
}

func TestAScrubIsCancelled(t *testing.T) {
	s := newStage(t)
	content := make([]byte, 3<<20)
	if err := s.vendor.Upload(t.Context(), digest.Of(content), content); err != nil {
		t.Fatal(err)
	}
	started := must[*pb.StartScrubResponse](t)(s.operator.StartScrub(t.Context(), &pb.StartScrubRequest{Parent: s.Operator.String(), BytesPerSecond: 1 << 20})).GetScrub()
	got := must[*pb.CancelScrubResponse](t)(s.operator.CancelScrub(t.Context(), &pb.CancelScrubRequest{Name: started.GetName()})).GetScrub()
	if got.GetState() != pb.ScrubState_SCRUB_STATE_CANCELLED || got.GetEndTime() == nil {
		t.Errorf("cancelled: %v", got)
	}
	_, err := s.operator.StartScrub(t.Context(), &pb.StartScrubRequest{Parent: s.Operator.String(), BytesPerSecond: -1})
	rpctest.WantCode(t, "a negative rate", err, codes.InvalidArgument, "")
	if done, found := s.scrub(t); len(found) != 0 || done.GetState() != pb.ScrubState_SCRUB_STATE_DONE {
		t.Errorf("the next one: %v, %v", done, found)
	}
	list := must[*pb.ListScrubsResponse](t)(s.operator.ListScrubs(t.Context(), &pb.ListScrubsRequest{Parent: s.Operator.String()})).GetScrubs()
	if len(list) != 2 || list[1].GetName() != got.GetName() || list[1].GetState() != pb.ScrubState_SCRUB_STATE_CANCELLED || s.Failures.Load() != 0 {
		t.Errorf("listed %v; %d jobs failed", list, s.Failures.Load())
	}
}

func TestUpkeepScrubsAndRemindsTheStore(t *testing.T) {
	s := newStage(t)
	upkeep := func() {
		t.Helper()
		if err := s.Pipeline.Handlers().Upkeep(t.Context(), jobs.Upkeep{}); err != nil {
			t.Fatal(err)
		}
	}
	list := func() []*pb.Scrub {
		return must[*pb.ListScrubsResponse](t)(s.operator.ListScrubs(t.Context(), &pb.ListScrubsRequest{Parent: s.Operator.String()})).GetScrubs()
	}
	s.Clock.Forward(29 * 24 * time.Hour)
	if upkeep(); len(list()) != 0 {
		t.Errorf("after 29 days: %v", list())
	}
	s.Clock.Forward(2 * 24 * time.Hour)
	upkeep()
	all := list()
	if len(all) != 1 || all[0].GetCreator() != "" || all[0].GetBytesPerSecond() == 0 {
		t.Fatalf("after 31 days: %v", all)
	}
	s.ended(t, all[0].GetName())
	if upkeep(); len(list()) != 1 {
		t.Errorf("at once again: %v", list())
	}

	// What the store was not told, as after an upgrade, it is told.
	err := s.Catalog.Update(t.Context(), func(tx *catalog.Tx) error {
		_, _, err := tx.ExtendRetention(s.release.Name, func(c retention.Clock) (retention.Clock, error) { return c.ForYears(6) })
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	upkeep()
	want := must[*pb.GetRetentionResponse](t)(s.own.GetRetention(t.Context(), &pb.GetRetentionRequest{Name: s.retentionName()})).GetRetention().GetRetainUntil().AsTime()
	servicetest.Eventually(t, "six years", func() bool {
		for _, l := range s.locks(t, s.release) {
			if !l.Until.Equal(want) {
				return false
			}
		}
		return true
	})
}

// away is a store that can be made not to answer.
type away struct {
	blob.Store
	gone atomic.Bool
}

func (a *away) Open(ctx context.Context, ref blob.Ref) (blob.Blob, error) {
	if a.gone.Load() {
		return nil, &fault.Error{Kind: fault.Unavailable, Message: "no route to host"}
	}
	return a.Store.Open(ctx, ref)
}

func TestAStoreThatIsAwayIsNoDamage(t *testing.T) {
	s := &stage{Stage: servicetest.New(t)}
	store := &away{Store: s.Blobs}
	s.Pipeline.Blobs = store
	s.Start(t)
	s.vendor = s.Vendor(t, "acme")
	for i := range 20 {
		content := []byte{byte(i)}
		if err := s.vendor.Upload(t.Context(), digest.Of(content), content); err != nil {
			t.Fatal(err)
		}
	}
	s.operator = pb.NewCustodyServiceClient(s.Member(t, s.Operator))
	store.gone.Store(true)
	started := must[*pb.StartScrubResponse](t)(s.operator.StartScrub(t.Context(), &pb.StartScrubRequest{Parent: s.Operator.String()})).GetScrub()
	servicetest.Eventually(t, "a failure", func() bool { return s.Failures.Load() > 0 })
	store.gone.Store(false)
	if done := s.ended(t, started.GetName()); done.GetUnreadable() != 0 || done.GetScrubbedBlobs() != 20 {
		t.Errorf("ended as %v", done)
	}

	// A store that stays away for hours ends the patience.
	store.gone.Store(true)
	started = must[*pb.StartScrubResponse](t)(s.operator.StartScrub(t.Context(), &pb.StartScrubRequest{Parent: s.Operator.String()})).GetScrub()
	failed := s.Failures.Load()
	servicetest.Eventually(t, "another failure", func() bool { return s.Failures.Load() > failed })
	s.Clock.Forward(2 * time.Hour)
	if done := s.ended(t, started.GetName()); done.GetUnreadable() != 20 || done.GetScrubbedBlobs() != 20 {
		t.Errorf("ended as %v", done)
	}
}

// Two processes may take the same scrub for theirs, when one of them seemed dead: nothing is counted twice, nothing left out.
func TestTwoProcessesOnOneScrub(t *testing.T) {
	s := &stage{Stage: servicetest.New(t)} // its queue is never started: the test does the work
	s.vendor = s.Vendor(t, "acme")
	for i := range 60 {
		content := append(make([]byte, 1000), byte(i))
		if err := s.vendor.Upload(t.Context(), digest.Of(content), content); err != nil {
			t.Fatal(err)
		}
	}
	s.operator = pb.NewCustodyServiceClient(s.Member(t, s.Operator))
	for range 5 {
		started := must[*pb.StartScrubResponse](t)(s.operator.StartScrub(t.Context(), &pb.StartScrubRequest{Parent: s.Operator.String()})).GetScrub()
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() {
				for range 3 { // an error only says when to come again
					_ = s.Pipeline.Handlers().Scrub(t.Context(), jobs.Scrub{Scrub: id(started.GetName())})
				}
			})
		}
		both.Wait()
		if done := s.ended(t, started.GetName()); done.GetScrubbedBlobs() != 60 || done.GetScrubbedBytes() != 60*1001 {
			t.Errorf("counted %d blobs, %d bytes", done.GetScrubbedBlobs(), done.GetScrubbedBytes())
		}
	}
}

// id is the last part of a resource name.
func id(name string) string { return name[strings.LastIndex(name, "/")+1:] }
