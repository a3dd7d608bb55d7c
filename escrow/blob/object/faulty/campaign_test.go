package faulty_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/blob/blobtest"
	"github.com/countersign-escrow/countersign/escrow/blob/object/faulty"
	"github.com/countersign-escrow/countersign/escrow/blob/seal/sealtest"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

const (
	campaigns = 6   // beside one another, each with its own seed
	deposits  = 150 // tried in each
)

// tally is what a campaign comes to.
type tally struct {
	sync.Mutex
	tried, acknowledged, read, lost, wrong, delayed int
	faults                                          map[faulty.Fault]int
}

// TestStoreFaults deposits and reads blobs, sealed, in stores that fail at random. What was acknowledged is there and right, then and
// at the end; what was not is there whole or not at all.
func TestStoreFaults(t *testing.T) {
	sum := tally{faults: map[faulty.Fault]int{}}
	t.Run("seeds", func(t *testing.T) {
		first := uint64(time.Now().UnixNano())
		for i := range uint64(campaigns) {
			t.Run(fmt.Sprint(first+i), func(t *testing.T) {
				t.Parallel()
				newCampaign(t, first+i, &sum).run()
			})
		}
	})
	t.Logf("%d acknowledged, %d read meanwhile; faults: %d refused, %d broken, %d answers lost, %d cut; %d delayed", sum.acknowledged, sum.read,
		sum.faults[faulty.Refuse], sum.faults[faulty.Break], sum.faults[faulty.Lose], sum.faults[faulty.Cut], sum.delayed)
	fmt.Printf("CAMPAIGN store-faults tried=%d lost=%d wrong=%d\n", sum.tried, sum.lost, sum.wrong)
	if sum.lost+sum.wrong > 0 || sum.acknowledged < sum.tried/10 || sum.faults[faulty.Lose] == 0 || sum.faults[faulty.Cut] == 0 {
		t.Error("see the line above")
	}
}

// campaign is one sequence of deposits.
type campaign struct {
	t       *testing.T
	sum     *tally
	random  *rand.Rand
	trouble *faulty.Store
	store   blob.Store // in trouble
	sound   blob.Store // over the same objects
	known   map[blob.Ref][]byte
	acked   map[blob.Ref]bool
}

func newCampaign(t *testing.T, seed uint64, sum *tally) *campaign {
	folder, records := sealtest.Folder(t), &sealtest.Records{}
	trouble := faulty.New(folder, faulty.Random(seed, faulty.Chances{Refuse: 0.04, Break: 0.04, Lose: 0.04, Cut: 0.04, Bytes: 0.5, Slow: 0.1,
		Longest: 2 * time.Millisecond}))
	return &campaign{t: t, sum: sum, random: rand.New(rand.NewPCG(seed, 1)), trouble: trouble, store: sealtest.Over(trouble, records),
		sound: sealtest.Over(folder, records), known: map[blob.Ref][]byte{}, acked: map[blob.Ref]bool{}}
}

func (c *campaign) run() {
	for i := range deposits {
		content := blobtest.Content(uint64(c.random.IntN(deposits/2)), c.size())
		ref := blob.Ref{Holder: resource.Organization{ID: "acme"}, Digest: digest.Of(content)}
		c.known[ref] = content
		if c.deposit(ref, content) {
			c.acked[ref] = true
		}
		if i%3 == 0 {
			c.readMeanwhile()
		}
	}
	c.trouble.Heal()
	c.atTheEnd()
	c.report()
}

// size is small, or just about chunks, or of several blocks.
func (c *campaign) size() int {
	switch c.random.IntN(4) {
	case 0:
		return c.random.IntN(100)
	case 1:
		return (1+c.random.IntN(3))<<16 + c.random.IntN(3) - 1
	case 2:
		return 1<<20 + c.random.IntN(2<<20)
	}
	return c.random.IntN(200_000)
}

// deposit tries a few times, as a client does that goes on where the store says, and says whether it was acknowledged.
func (c *campaign) deposit(ref blob.Ref, content []byte) bool {
	for range 1 + c.random.IntN(5) {
		if c.attempt(ref, content) {
			return true
		}
	}
	return false
}

func (c *campaign) attempt(ref blob.Ref, content []byte) bool {
	c.sum.Lock()
	c.sum.tried++
	c.sum.Unlock()
	u, err := c.store.Resume(c.t.Context(), ref, int64(len(content)))
	if err != nil {
		c.notCorrupt(err)
		return false
	}
	defer u.Close()
	rest := content[u.Offset():]
	if c.random.IntN(4) == 0 { // the client goes away
		rest = rest[:c.random.IntN(len(rest)+1)]
	}
	for len(rest) > 0 {
		n := min(len(rest), 1+c.random.IntN(300_000))
		if _, err := u.Write(rest[:n]); err != nil {
			return false
		}
		rest = rest[n:]
	}
	err = u.Commit(c.t.Context())
	if fault.Is(err, fault.Invalid) { // the store mixed up what was written before and after an interruption
		c.count(&c.sum.wrong, "%s: %v", ref, err)
	}
	return err == nil
}

// readMeanwhile reads one blob in trouble: it may fail, but never give other bytes, nor say that what is acknowledged is not there.
func (c *campaign) readMeanwhile() {
	for ref, content := range c.known {
		got, err := read(c.t, c.store, ref)
		c.sum.Lock()
		c.sum.read++
		c.sum.Unlock()
		c.notCorrupt(err)
		if err == nil && !bytes.Equal(got, content) {
			c.count(&c.sum.wrong, "%s: other bytes were read", ref)
		}
		if c.acked[ref] && fault.Is(err, fault.NotFound) {
			c.count(&c.sum.lost, "%s: %v", ref, err)
		}
		return
	}
}

// notCorrupt counts an error that says that something is damaged: nothing ever is.
func (c *campaign) notCorrupt(err error) {
	if fault.Is(err, fault.Corrupt) {
		c.count(&c.sum.wrong, "%v", err)
	}
}

func (c *campaign) atTheEnd() {
	for ref, content := range c.known {
		got, err := read(c.t, c.sound, ref)
		switch {
		case fault.Is(err, fault.NotFound) && c.acked[ref]:
			c.count(&c.sum.lost, "%s was acknowledged and is not there", ref)
		case fault.Is(err, fault.NotFound):
		case err != nil || !bytes.Equal(got, content):
			c.count(&c.sum.wrong, "%s is there, and not as it was deposited: %v", ref, err)
		}
	}
}

func (c *campaign) report() {
	faults, delayed := c.trouble.Injected()
	c.sum.Lock()
	defer c.sum.Unlock()
	c.sum.acknowledged += len(c.acked)
	c.sum.delayed += delayed
	for f, n := range faults {
		c.sum.faults[f] += n
	}
}

func (c *campaign) count(n *int, format string, args ...any) {
	c.t.Errorf(format, args...)
	c.sum.Lock()
	defer c.sum.Unlock()
	*n++
}

func read(t *testing.T, s blob.Store, ref blob.Ref) ([]byte, error) {
	b, err := s.Open(t.Context(), ref)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
}
