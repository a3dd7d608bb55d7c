// Package scrub reads back what ought to be held and says what of it is damaged, missing or not protected as promised.
// It knows nothing of databases, of releases, nor of how a store keeps or encrypts what it is given.
package scrub

import (
	"time"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/blob/object"
)

// Item is a blob that ought to be held.
type Item struct {
	Ref  blob.Ref
	Size int64       // bytes
	Lock object.Lock // what the store was told; zero: nothing
}

// Kind says what is wrong with a blob.
type Kind string

// The kinds of damage.
const (
	Damaged     Kind = "DAMAGED"     // its bytes are not those that were stored
	Missing     Kind = "MISSING"     // the store does not have it
	Unreadable  Kind = "UNREADABLE"  // it could not be read now; that may pass, so that it is worth another look later
	Unprotected Kind = "UNPROTECTED" // it is whole, and its lock ends earlier than the store was told; worth another look, too
)

// Passing says whether a damage may prove none when the blob is looked at later.
func (k Kind) Passing() bool { return k == Unreadable || k == Unprotected }

// Damage is what is wrong with a blob.
type Damage struct {
	Item    Item
	Kind    Kind
	At      int64 // where the first wrong bytes are, at most pieceBytes before them; -1: not known
	Problem string
}

// Step is how far a scrub came since its last step.
type Step struct {
	Last    *blob.Ref // everything up to this blob was looked at; nil: no more than at the last step
	Blobs   int64     // looked at since then
	Bytes   int64     // of these blobs
	Reading int64     // bytes read until now of blobs that are not done
	Damages []Damage  // found in these blobs
}

// Bounds of Options.
const (
	MaxParallel = 4
	pieceBytes  = 64 << 10 // the place of a damage is told to so many bytes
	bufferBytes = 1 << 20
)

// Options say how gently to go about it. The zero Options read one blob after the other as fast as the store answers.
type Options struct {
	Rate     int64         // bytes per second at most, over all blobs; 0: no bound
	Parallel int           // blobs at a time; at least 1 and MaxParallel at most are taken
	Every    time.Duration // between two steps; 2 seconds if 0
}

func (o Options) withDefaults() Options {
	o.Parallel = min(max(o.Parallel, 1), MaxParallel)
	if o.Every == 0 {
		o.Every = 2 * time.Second
	}
	return o
}
