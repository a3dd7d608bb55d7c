package servicetest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/blob/object/faulty"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/internal/servicetest"
	"github.com/countersign-escrow/countersign/verifier/attest"
)

const (
	faultsTime   = 12 * time.Second      // of the short form
	faultsVar    = "COUNTERSIGN_MINUTES" // of the long form
	faultsVendor = 3
)

// troubles are what a bad day looks like: one operation in ten or so fails in one way or another.
var troubles = faulty.Chances{Refuse: 0.03, Break: 0.02, Lose: 0.03, Cut: 0.02, Bytes: 0.1, Slow: 0.2, Longest: 20 * time.Millisecond}

// The store fails, breaks off, is slow and loses answers, and the clock jumps: what was acknowledged is there, and nothing
// is half there.
func TestNothingIsLostWhileTheStoreAndTheClockFail(t *testing.T) {
	f := newFaults(t)
	f.stage.Start(t)
	stop := make(chan struct{})
	var work sync.WaitGroup
	for i := range faultsVendor {
		v := f.stage.Vendor(t, fmt.Sprintf("vendor-%d", i))
		work.Go(func() { f.deposit(v, stop) })
	}
	work.Go(func() { f.jump(stop) })
	time.Sleep(f.lasts())
	close(stop)
	work.Wait()
	injected, delayed := f.store.Injected()
	f.store.Heal()
	f.stage.Clock.Forward(-time.Until(f.stage.Clock.Now())) // right again
	f.check()
	tried := delayed + f.jumps
	for _, n := range injected {
		tried += n
	}
	fmt.Printf("CAMPAIGN faults tried=%d lost=%d wrong=%d\n", tried, f.lost, f.wrong)
	t.Logf("faults %v, %d delays, %d clock jumps; %d deposits acknowledged, %d attempts failed, %d jobs failed and were tried again",
		injected, delayed, f.jumps, len(f.deposits), f.refused, f.stage.Failures.Load())
	if len(f.deposits) == 0 || tried < 50 || f.refused == 0 {
		t.Errorf("%d deposits, %d faults and %d refused attempts show nothing", len(f.deposits), tried, f.refused)
	}
}

// faults is a service whose store and clock cannot be relied on.
type faults struct {
	*testing.T
	stage *servicetest.Stage
	store *faulty.Store
	jumps int

	mu          sync.Mutex
	deposits    []deposited
	attempted   []attempted
	refused     int
	lost, wrong int
}

// deposited is a release whose receipt was given.
type deposited struct {
	vendor  *servicetest.Vendor
	release *servicetest.Release
	receipt []byte
}

type attempted struct {
	ref  blob.Ref
	want []byte
}

func newFaults(t *testing.T) *faults {
	f := &faults{T: t}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	f.stage = servicetest.NewOver(t, func(s object.Store) object.Store {
		f.store = faulty.New(s, faulty.Random(seed, troubles))
		return f.store
	})
	f.stage.Sandbox.Makes(map[string]string{"switch.bin": "firmware"})
	return f
}

func (f *faults) lasts() time.Duration {
	if n, err := strconv.Atoi(os.Getenv(faultsVar)); err == nil {
		return time.Duration(n) * time.Minute
	}
	return faultsTime
}

// deposit deposits one release after the other, each as often as it takes.
func (f *faults) deposit(v *servicetest.Vendor, stop <-chan struct{}) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		version := fmt.Sprintf("1.%d", n)
		big := bytes.Repeat([]byte(version), 200_000)
		r := v.Prepare(f, version, map[string]string{"switch.bin": "firmware", "big.bin": string(big)})
		r.Sign(f, v.Key)
		receipt, err := f.insist(v, r)
		f.mu.Lock()
		if err != nil {
			f.lost++
			f.Errorf("%s cannot be deposited: %v", r.Name, err)
		} else {
			f.deposits = append(f.deposits, deposited{v, r, receipt})
		}
		for d, content := range r.Blobs {
			f.attempted = append(f.attempted, attempted{blob.Ref{Holder: v.Name, Digest: d}, content})
		}
		f.mu.Unlock()
	}
}

// insist tries every step until it is done.
func (f *faults) insist(v *servicetest.Vendor, r *servicetest.Release) (receipt []byte, err error) {
	ctx := f.Context()
	err = f.again(func() error {
		_, err := v.Deposit.CreateRelease(ctx, &pb.CreateReleaseRequest{Parent: v.Product.String(), ReleaseId: r.Name.Version, RequestId: r.RequestID})
		return err
	})
	for d, content := range r.Blobs {
		err = errors.Join(err, f.again(func() error { return f.upload(ctx, v, d, content) }))
	}
	return receipt, errors.Join(err, f.again(func() error {
		resp, err := v.Seal(ctx, f, r)
		receipt = resp.GetReceiptBundle()
		return err
	}))
}

// upload goes on where the service says.
func (f *faults) upload(ctx context.Context, v *servicetest.Vendor, d digest.Digest, content []byte) error {
	name := v.UploadName(d, len(content))
	status, err := v.Deposit.QueryWriteStatus(ctx, &pb.QueryWriteStatusRequest{ResourceName: name})
	if err != nil || status.GetComplete() {
		return err
	}
	stream, err := v.Deposit.Write(ctx)
	if err != nil {
		return err
	}
	at := status.GetCommittedSize()
	if stream.Send(&pb.WriteRequest{ResourceName: name, WriteOffset: at, Data: content[at:], FinishWrite: true}) != nil {
		f.Log("the upload was answered early")
	}
	_, err = stream.CloseAndRecv()
	return err
}

func (f *faults) again(step func() error) (err error) {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if err = step(); err == nil {
			return nil
		}
		f.mu.Lock()
		f.refused++
		f.mu.Unlock()
	}
	return err
}

// jump sets the clock forward and back by up to an hour.
func (f *faults) jump(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(300 * time.Millisecond):
			f.jumps++
			f.stage.Clock.Forward(rand.N(2*time.Hour) - time.Hour)
		}
	}
}

// check looks at everything that was acknowledged, and for what is half there.
func (f *faults) check() {
	for _, d := range f.deposits {
		d.vendor.Checked(f, d.release)
		subject := d.release.Manifest.Artifacts[0].Digest
		if _, err := attest.Verify(d.receipt, f.stage.Root, f.stage.Statement, attest.Policy{PredicateType: attest.TypeReceipt, Artifact: subject}); err != nil {
			f.lost++
			f.Errorf("%s: the receipt does not verify: %v", d.release.Name, err)
		}
	}
	for _, a := range f.attempted {
		got, err := f.read(a.ref)
		switch {
		case err == nil && bytes.Equal(got, a.want):
		case fault.Is(err, fault.NotFound):
			f.lost++
			f.Errorf("%s is not there", a.ref)
		default:
			f.wrong++
			f.Errorf("%s is half there: %d bytes of %d (%v)", a.ref, len(got), len(a.want), err)
		}
	}
}

func (f *faults) read(ref blob.Ref) ([]byte, error) {
	b, err := f.stage.Blobs.Open(f.Context(), ref)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
}
