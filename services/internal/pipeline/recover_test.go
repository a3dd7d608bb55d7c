package pipeline_test

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/jobs"
	"github.com/countersign-escrow/countersign/services/internal/servicetest"
	"github.com/countersign-escrow/countersign/verifier/attest"
)

// sealUnattended seals releases while no job runs, as if the process had died right after the transaction, and returns
// their receipts.
func sealUnattended(t *testing.T, s *servicetest.Stage, v *servicetest.Vendor, releases ...*servicetest.Release) []catalog.Attestation {
	t.Helper()
	for _, r := range releases {
		r.Sign(t, v.Key)
		v.Open(t, r)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		if _, err := v.Seal(ctx, t, r); err == nil {
			t.Fatal("a receipt was given before it was in the log")
		}
		cancel()
	}
	var pending []catalog.Attestation
	view(t, s, func(tx *catalog.Tx) (err error) {
		pending, err = tx.PendingAttestations()
		return err
	})
	if len(pending) != len(releases) {
		t.Fatalf("%d receipts are pending, want %d", len(pending), len(releases))
	}
	return pending
}

// logUnrecorded puts an attestation into the log and tells the catalog nothing, as a process does that dies in between.
func logUnrecorded(t *testing.T, s *servicetest.Stage, a catalog.Attestation) attest.Published {
	t.Helper()
	env, err := attest.ParseEnvelope(a.Envelope)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := s.Publisher.Publish(t.Context(), env, a.PublicKeyPEM, a.Stamp)
	if err != nil {
		t.Fatal(err)
	}
	return pub
}

func TestAnEntryThatACrashLeftUnrecordedIsNotLoggedTwice(t *testing.T) {
	s := servicetest.New(t)
	v := s.Vendor(t, "acme")
	releases := []*servicetest.Release{
		v.Prepare(t, "1.0", map[string]string{"app": "one"}), v.Prepare(t, "2.0", map[string]string{"app": "two"}), v.Prepare(t, "3.0", map[string]string{"app": "three"}),
	}
	pending := sealUnattended(t, s, v, releases...)
	// The first entry is in the log and unrecorded, the second is recorded, the third is not in the log.
	first, second := logUnrecorded(t, s, pending[0]), logUnrecorded(t, s, pending[1])
	err := s.Catalog.Update(t.Context(), func(tx *catalog.Tx) error {
		return tx.MarkPublished(pending[1].ID, second.LogIndex, second.Bundle)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Pipeline.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := attestation(t, s, pending[0].ID)
	if got.State != catalog.AttestationPublished || got.LogIndex != first.LogIndex {
		t.Errorf("after recovery: %s at %d, want it at %d", got.State, got.LogIndex, first.LogIndex)
	}
	if _, err := attest.Verify(got.Bundle, s.Root, s.Statement, attest.Policy{PredicateType: attest.TypeReceipt}); err != nil {
		t.Errorf("the recovered receipt: %v", err)
	}
	if a := attestation(t, s, pending[2].ID); a.State != catalog.AttestationPending {
		t.Errorf("what was not in the log is %s", a.State)
	}
	s.Start(t)
	for i, r := range releases {
		resp, err := v.Seal(t.Context(), t, r)
		if err != nil {
			t.Fatal(err)
		}
		if want := attestation(t, s, pending[i].ID); !bytes.Equal(resp.GetReceiptBundle(), want.Bundle) {
			t.Errorf("%s: another receipt than the one made when it was sealed", r.Name)
		}
		v.Checked(t, r)
	}
	requireNoGaps(t, s, v)
}

func attestation(t *testing.T, s *servicetest.Stage, id string) (a *catalog.Attestation) {
	t.Helper()
	view(t, s, func(tx *catalog.Tx) (err error) {
		a, err = tx.Attestation(id)
		return err
	})
	return a
}

// requireNoGaps makes sure that every entry in the log belongs to one attestation.
func requireNoGaps(t *testing.T, s *servicetest.Stage, v *servicetest.Vendor) {
	t.Helper()
	all := attestations(t, s, v.Name, servicetest.Release{}.Name)
	var first int64
	view(t, s, func(tx *catalog.Tx) (err error) {
		first, err = tx.FirstFreeLogIndex()
		return err
	})
	proof, err := s.Log.Proof(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if int(first) != len(all) || proof.TreeSize != uint64(first) {
		t.Errorf("%d attestations, indexes without a gap up to %d, %d entries in the log", len(all), first, proof.TreeSize)
	}
}

// A publication that failed after its entry was in the log is settled by the next attempt of the same process.
func TestAPublicationThatFailedHalfWayIsNotLoggedTwice(t *testing.T) {
	s := servicetest.New(t)
	v := s.Vendor(t, "acme")
	r := v.Prepare(t, "1.0", map[string]string{"app": "one"})
	pending := sealUnattended(t, s, v, r)
	const full = `CREATE TRIGGER disk_full BEFORE UPDATE ON attestations BEGIN SELECT RAISE(ABORT, 'disk full'); END`
	if _, err := s.Catalog.DB().ExecContext(t.Context(), full); err != nil {
		t.Fatal(err)
	}
	s.Start(t)
	servicetest.Eventually(t, "a publication that fails", func() bool { return s.Failures.Load() > 0 })
	if _, found, err := s.Log.Find(t.Context(), pending[0].LeafHash, 0); err != nil || !found {
		t.Fatalf("the entry is not in the log: %v", err)
	}
	if _, err := s.Catalog.DB().ExecContext(t.Context(), `DROP TRIGGER disk_full`); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Seal(t.Context(), t, r); err != nil {
		t.Fatal(err)
	}
	v.Checked(t, r)
	requireNoGaps(t, s, v)
}

// A process that was taken for dead is given its own jobs a second time, while it does them.
func TestTheSameAttestationManyTimesAtOnceIsLoggedOnce(t *testing.T) {
	s := servicetest.New(t)
	v := s.Vendor(t, "acme")
	r := v.Prepare(t, "1.0", map[string]string{"app": "one"})
	pending := sealUnattended(t, s, v, r)
	publish := s.Pipeline.Handlers().Publish
	var callers sync.WaitGroup
	for i := range 20 {
		callers.Go(func() {
			time.Sleep(time.Duration(i) * 20 * time.Millisecond) // before, in the middle of, and after the first
			_ = publish(t.Context(), jobs.Publish{Attestation: pending[0].ID})
		})
	}
	callers.Wait()
	if a := attestation(t, s, pending[0].ID); a.State != catalog.AttestationPublished {
		t.Errorf("it is %s", a.State)
	}
	requireNoGaps(t, s, v)
}

// What a dead writer of the log left unrecorded is found by the next one, which writes other entries behind it.
func TestANewWriterSettlesWhatTheLastOneAppended(t *testing.T) {
	s := servicetest.New(t)
	v := s.Vendor(t, "acme")
	pending := sealUnattended(t, s, v, v.Prepare(t, "1.0", map[string]string{"app": "one"}), v.Prepare(t, "2.0", map[string]string{"app": "two"}))
	dead := logUnrecorded(t, s, pending[1])
	if err := s.Pipeline.RecoverLog(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := attestation(t, s, pending[1].ID); a.State != catalog.AttestationPublished || a.LogIndex != dead.LogIndex {
		t.Errorf("%s at %d, want it at %d", a.State, a.LogIndex, dead.LogIndex)
	}
	for _, a := range pending {
		if err := s.Pipeline.Handlers().Publish(t.Context(), jobs.Publish{Attestation: a.ID}); err != nil {
			t.Fatal(err)
		}
	}
	requireNoGaps(t, s, v)
}

// The rebuild that a dead process had leased is done at the next start, not when its lease ends.
func TestARebuildOfADeadProcessIsDoneAtTheNextStart(t *testing.T) {
	s := servicetest.New(t)
	s.Sandbox.Makes(map[string]string{"app": "the app"})
	v := s.Vendor(t, "acme")
	r := v.Prepare(t, "1.0", map[string]string{"app": "the app"})
	sealUnattended(t, s, v, r)
	if err := s.Pipeline.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := s.Pipeline.Handlers()
	if err := h.Check(t.Context(), checkJob(r)); err != nil {
		t.Fatal(err)
	}
	row := rebuildsOf(t, s, r.Name)[0]
	err := s.Catalog.Update(t.Context(), func(tx *catalog.Tx) error {
		lease, err := tx.LeaseRebuildByID(row.ID, s.Clock.Now(), time.Hour)
		if err == nil && lease == nil {
			t.Error("the rebuild cannot be leased")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start(t)
	v.Checked(t, r)
	if resp, err := v.Deposit.GetRelease(t.Context(), &pb.GetReleaseRequest{Name: r.Name.String()}); err != nil || resp.GetRelease().GetReceipt() == "" {
		t.Errorf("%v, %v", resp, err)
	}
}

func checkJob(r *servicetest.Release) jobs.Check { return jobs.Check{Release: r.Name.String()} }
