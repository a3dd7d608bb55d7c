package custody_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"os"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/scrub"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/rpc/rpctest"
	"github.com/countersign-escrow/countersign/services/internal/servicetest"
)

// firmware is a file that is long enough to be damaged behind what is looked at when it is opened, and its object.
type firmware struct {
	content []byte
	digest  digest.Digest
	object  string
	reads   pb.EvaluationServiceClient // the vendor's
	store   *jammed                    // of the pipeline
}

// newFirmwareStage is a stage whose one release has a file of 2 MiB.
func newFirmwareStage(t *testing.T) (*stage, *firmware) {
	t.Helper()
	f := &firmware{content: make([]byte, 2<<20)}
	_, _ = rand.Read(f.content)
	f.digest = digest.Of(f.content)
	s := &stage{Stage: servicetest.New(t)}
	f.store = &jammed{Store: s.Blobs, digest: f.digest}
	s.Pipeline.Blobs = f.store
	s.Start(t)
	s.vendor = s.Vendor(t, "acme")
	s.release = s.vendor.Release(t, "1.0", map[string]string{"firmware.bin": string(f.content)})
	s.operator = pb.NewCustodyServiceClient(s.Member(t, s.Operator))
	own := s.Member(t, s.vendor.Name)
	s.own, f.reads = pb.NewCustodyServiceClient(own), pb.NewEvaluationServiceClient(own)
	s.vendor.Checked(t, s.release)
	servicetest.Eventually(t, "the locks to be noted", func() bool {
		return must[*pb.GetRetentionResponse](t)(s.own.GetRetention(t.Context(), &pb.GetRetentionRequest{Name: s.retentionName()})).GetRetention().GetLockedUntil() != nil
	})
	blobs, _ := s.objects(t)
	for _, path := range blobs {
		if must[os.FileInfo](t)(os.Stat(path)).Size() > int64(len(f.content)) {
			f.object = path
		}
	}
	return s, f
}

// held says whether the vendor is told that a file is held: by all three calls alike.
func (s *stage) held(t *testing.T, f *firmware) bool {
	t.Helper()
	missing := must[*pb.FindMissingBlobsResponse](t)(s.vendor.Deposit.FindMissingBlobs(t.Context(), &pb.FindMissingBlobsRequest{
		Parent: s.vendor.Name.String(), Blobs: []*pb.Blob{{Digest: f.digest.String(), Size: int64(len(f.content))}}}))
	status := must[*pb.QueryWriteStatusResponse](t)(s.vendor.Deposit.QueryWriteStatus(t.Context(),
		&pb.QueryWriteStatusRequest{ResourceName: s.vendor.UploadName(f.digest, len(f.content))}))
	damaged := s.damaged(t)
	held := status.GetComplete()
	if held != (len(missing.GetMissing()) == 0) || held != (len(damaged) == 0) {
		t.Errorf("status %v, missing %v, damaged %v", status, missing, damaged)
	}
	if !held && (len(damaged) != 1 || damaged[0].GetDigest() != f.digest.String() || damaged[0].GetPath() != "firmware.bin" ||
		damaged[0].GetRole() != pb.FileRole_FILE_ROLE_ARTIFACT || damaged[0].GetSize() != int64(len(f.content)) || damaged[0].GetFindTime() == nil) {
		t.Errorf("damaged: %v", damaged)
	}
	return held
}

func (s *stage) damaged(t *testing.T) []*pb.DamagedFile {
	t.Helper()
	r := must[*pb.GetReleaseResponse](t)(s.vendor.Deposit.GetRelease(t.Context(), &pb.GetReleaseRequest{Name: s.release.Name.String()}))
	return r.GetRelease().GetDamagedFiles()
}

// whole wants that a scrub finds nothing and that the file can be read.
func (s *stage) whole(t *testing.T, f *firmware) {
	t.Helper()
	if _, found := s.scrub(t); len(found) != 0 || !s.held(t, f) {
		t.Errorf("found %v", found)
	}
	if got, err := f.readAll(t, s); err != nil || !bytes.Equal(got, f.content) {
		t.Errorf("%d bytes can be read: %v", len(got), err)
	}
}

func (f *firmware) readAll(t *testing.T, s *stage) ([]byte, error) {
	t.Helper()
	stream := must[grpc.ServerStreamingClient[pb.ReadBlobResponse]](t)(f.reads.ReadBlob(t.Context(),
		&pb.ReadBlobRequest{Release: s.release.Name.String(), Digest: f.digest.String()}))
	var got []byte
	for {
		resp, err := stream.Recv()
		if err == io.EOF {
			return got, nil
		}
		if err != nil {
			return got, err
		}
		got = append(got, resp.GetData()...)
	}
}

// spoilt changes one bit for good.
func spoilt(t *testing.T, path string, at int64) {
	t.Helper()
	raw := must[[]byte](t)(os.ReadFile(path))
	raw[at] ^= 1
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAVendorMendsWhatIsDamagedOrGone(t *testing.T) {
	s, f := newFirmwareStage(t)
	for name, spoil := range map[string]func(){
		"deep inside": func() { spoilt(t, f.object, 1500<<10) },
		"the header":  func() { spoilt(t, f.object, 3) },
		"gone": func() {
			if err := os.Remove(f.object); err != nil {
				t.Fatal(err)
			}
		},
		"gone with its lock": func() {
			for _, path := range []string{f.object, f.object + ".lock"} {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			}
		},
	} {
		spoil()
		if _, found := s.scrub(t); len(found) != 1 || s.held(t, f) {
			t.Fatalf("%s: found %v, and it counts as held", name, found)
		}
		before := must[*pb.GetReleaseResponse](t)(s.vendor.Deposit.GetRelease(t.Context(), &pb.GetReleaseRequest{Name: s.release.Name.String()})).GetRelease()
		if err := s.vendor.Upload(t.Context(), f.digest, f.content); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !s.held(t, f) {
			t.Errorf("%s: sent again, and not held", name)
		}
		after := must[*pb.GetReleaseResponse](t)(s.vendor.Deposit.GetRelease(t.Context(), &pb.GetReleaseRequest{Name: s.release.Name.String()})).GetRelease()
		if after.GetState() != before.GetState() || after.GetManifestDigest() != before.GetManifestDigest() || after.GetReceipt() != before.GetReceipt() {
			t.Errorf("%s: the release changed from %v to %v", name, before, after)
		}
		servicetest.Eventually(t, "the lock on what was sent again", func() bool { return len(s.locks(t, s.release)) > 0 && s.protected(t) })
		s.whole(t, f)
	}
	if s.Failures.Load() != 0 {
		t.Errorf("%d jobs failed", s.Failures.Load())
	}
}

// protected says whether the store locks every file for as long as it was told.
func (s *stage) protected(t *testing.T) bool {
	t.Helper()
	want := must[*pb.GetRetentionResponse](t)(s.own.GetRetention(t.Context(), &pb.GetRetentionRequest{Name: s.retentionName()})).GetRetention().GetRetainUntil().AsTime()
	for _, l := range s.locks(t, s.release) {
		if l.Until.Before(want) {
			return false
		}
	}
	return true
}

// What is damaged can be read up to the damage, and counts as held again when a scrub finds it whole.
func TestABlobThatReadsWholeAgainIsHeld(t *testing.T) {
	s, f := newFirmwareStage(t)
	flip(t, f.object, 1500<<10, func() {
		if _, found := s.scrub(t); len(found) != 1 || s.held(t, f) {
			t.Errorf("found %v, and it counts as held", found)
		}
		got, err := f.readAll(t, s)
		rpctest.WantCode(t, "reading it", err, codes.DataLoss, "")
		if len(got) < 64<<10 || !bytes.Equal(got, f.content[:len(got)]) {
			t.Errorf("%d bytes can be read", len(got))
		}
	})
	if s.held(t, f) {
		t.Error("held before anybody has looked")
	}
	s.whole(t, f)
}

// A mark may be there of a blob that is whole. Whoever sends it again is told that nothing is missing.
func TestAMarkedBlobThatIsWholeIsNotSentAgain(t *testing.T) {
	s, f := newFirmwareStage(t)
	flip(t, f.object, 1500<<10, func() { s.scrub(t) })
	stream := must[pb.DepositService_WriteClient](t)(s.vendor.Deposit.Write(t.Context()))
	if err := stream.Send(&pb.WriteRequest{ResourceName: s.vendor.UploadName(f.digest, len(f.content)), Data: f.content[:1000]}); err != nil {
		t.Fatal(err)
	}
	if resp, err := stream.CloseAndRecv(); err != nil || resp.GetCommittedSize() != int64(len(f.content)) {
		t.Errorf("%v, %v", resp, err)
	}
	s.whole(t, f)
}

func TestAnotherReleaseNeedsADamagedFileAgain(t *testing.T) {
	s, f := newFirmwareStage(t)
	for name, at := range map[string]int64{"deep inside": 200 << 10, "the header": 3} {
		spoilt(t, f.object, at)
		if name == "deep inside" { // the other is found at the seal
			s.scrub(t)
		}
		next := s.vendor.Prepare(t, name[:3], map[string]string{"firmware.bin": string(f.content)})
		next.Sign(t, s.vendor.Key)
		content := next.Blobs[f.digest]
		delete(next.Blobs, f.digest)
		s.vendor.Open(t, next)
		_, err := s.vendor.Seal(t.Context(), t, next)
		rpctest.WantCode(t, name, err, codes.FailedPrecondition, "BLOBS_MISSING")
		if s.held(t, f) {
			t.Errorf("%s: it counts as held", name)
		}
		if err := s.vendor.Upload(t.Context(), f.digest, content); err != nil {
			t.Fatal(err)
		}
		if _, err := s.vendor.Seal(t.Context(), t, next); err != nil {
			t.Errorf("%s: sent again: %v", name, err)
		}
		s.whole(t, f)
	}
}

// jammed is a store that cannot open one blob, so many times.
type jammed struct {
	blob.Store
	digest digest.Digest
	times  atomic.Int64
}

func (j *jammed) Open(ctx context.Context, ref blob.Ref) (blob.Blob, error) {
	if ref.Digest == j.digest && j.times.Add(-1) >= 0 {
		return nil, &fault.Error{Kind: fault.Unavailable, Message: "input/output error"}
	}
	return j.Store.Open(ctx, ref)
}

func (j *jammed) Kept(ctx context.Context, ref blob.Ref) (object.Lock, error) {
	return j.Store.(scrub.Locks).Kept(ctx, ref)
}

// What cannot be read now is not asked for again, nor does it count as whole.
func TestWhatCannotBeReadKeepsItsMark(t *testing.T) {
	s, f := newFirmwareStage(t)
	unreadable := func() {
		t.Helper()
		f.store.times.Store(1000)
		defer f.store.times.Store(0)
		if _, found := s.scrub(t); len(found) != 1 || found[0].GetKind() != pb.ScrubDamageKind_SCRUB_DAMAGE_KIND_UNREADABLE {
			t.Errorf("found %v", found)
		}
	}
	if unreadable(); !s.held(t, f) {
		t.Error("what cannot be read now counts as lost")
	}
	spoilt(t, f.object, 1500<<10)
	s.scrub(t)
	if unreadable(); s.held(t, f) {
		t.Error("what cannot be read counts as whole")
	}
}

// What could not be read at first is what it is at the second look.
func TestTheSecondLookSetsMarks(t *testing.T) {
	s, f := newFirmwareStage(t)
	flip(t, f.object, 1500<<10, func() {
		f.store.times.Store(1)
		if _, found := s.scrub(t); len(found) != 1 || s.held(t, f) {
			t.Errorf("found %v, and it counts as held", found)
		}
	})
	f.store.times.Store(1)
	if _, found := s.scrub(t); len(found) != 0 || !s.held(t, f) {
		t.Errorf("found %v", found)
	}
}

// The vendor's watch tells that a file was damaged, and that it is mended. Others' see nothing of it.
func TestAWatchTellsOfDamage(t *testing.T) {
	s, f := newFirmwareStage(t)
	watch := must[grpc.ServerStreamingClient[pb.WatchReleaseResponse]](t)(s.vendor.Deposit.WatchRelease(t.Context(), &pb.WatchReleaseRequest{Name: s.release.Name.String()}))
	next := func(damaged int) {
		t.Helper()
		for {
			e := must[*pb.WatchReleaseResponse](t)(watch.Recv())
			if e.GetFinding() == nil && len(e.GetRelease().GetDamagedFiles()) == damaged {
				return
			}
		}
	}
	next(0)
	spoilt(t, f.object, 1500<<10)
	s.scrub(t)
	next(1)
	lab, conn := s.Connect(t, "lab-fi", catalog.Evaluator, "FI")
	s.vendor.Grant(t, lab, 1<<40)
	sealed := must[*pb.GetSealedReleaseResponse](t)(pb.NewEvaluationServiceClient(conn).GetSealedRelease(t.Context(), &pb.GetSealedReleaseRequest{Name: s.release.Name.String()}))
	if n := len(sealed.GetRelease().GetDamagedFiles()); n != 0 {
		t.Errorf("a lab is told of %d damaged files", n)
	}
	if err := s.vendor.Upload(t.Context(), f.digest, f.content); err != nil {
		t.Fatal(err)
	}
	next(0)
}
