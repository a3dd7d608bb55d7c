// Package object says how the opaque, already sealed objects of a blob store are kept: under names that tell nothing, each
// written once, durable before it is visible, and not to be deleted before its time.
// It knows nothing of what an object holds, of digests, nor of keys.
package object

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// MaxNoteBytes is the longest note of a checkpoint.
const MaxNoteBytes = 256 << 10

// Name is an object's name: 64 lower-case hexadecimal digits. The zero Name is none.
type Name struct{ hex string }

// NameOf makes a name of a keyed hash.
func NameOf(sum [32]byte) Name { return Name{hex.EncodeToString(sum[:])} }

// ParseName reads a name.
func ParseName(s string) (Name, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 32 || hex.EncodeToString(b) != s {
		return Name{}, fault.Invalidf("name", "%.80q is not 64 lower-case hexadecimal digits", s)
	}
	return Name{s}, nil
}

// String returns the digits.
func (n Name) String() string { return n.hex }

// Object is an object open for reading. ReadAt may be called from several goroutines. Reads that follow one another are fast.
type Object interface {
	io.ReaderAt
	io.Closer
	// Size returns the size in bytes.
	Size() int64
}

// Store keeps objects. All methods may be called from several goroutines.
//
// An object is there wholly or not at all: until Commit has ended without error, Open answers with fault.NotFound.
// An object that is there never changes, and nothing written over it takes effect.
type Store interface {
	// Open opens an object for reading; fault.NotFound if it is not there, fault.Corrupt if it is not what was stored, as
	// far as the store can tell without reading it.
	Open(ctx context.Context, name Name) (Object, error)
	// Unfinished returns how far the draft of a name was brought; the zero Checkpoint if there is none.
	Unfinished(ctx context.Context, name Name) (Checkpoint, error)
	// Draft begins the object of a name, or goes on where it was brought to. Size is the whole size in bytes that is
	// expected, and -1 where it is not known. A name has one draft at a time in this process: the second gets
	// fault.Aborted. Drafts of one name in several processes do no harm: at most one of them commits, whole and as it was
	// written, and the others fail with fault.Aborted or find the object there.
	Draft(ctx context.Context, name Name, size int64) (Draft, error)
	// Keep sees to it that nobody deletes an object before a lock ends. The date never moves back: an earlier one leaves it
	// as it is. The hold is set as the lock says: one with Hold lays it, one without lifts it. fault.NotFound if the object
	// is not there.
	Keep(ctx context.Context, name Name, lock Lock) error
	// Kept returns the lock of an object.
	Kept(ctx context.Context, name Name) (Lock, error)
	// Delete removes an object; fault.Precondition while its lock stands. One that is not there is no error.
	Delete(ctx context.Context, name Name) error
	// Names calls each with the name of every object that is there, in no certain order; an error of each ends it.
	Names(ctx context.Context, each func(Name) error) error
	// Sweep removes drafts that nobody has gone on with since a time, and returns how many. A draft that is open in this
	// process stays.
	Sweep(ctx context.Context, since time.Time) (int, error)
	// Ready says whether the store can be written to and read now.
	Ready(ctx context.Context) error
}

// Checkpoint is how far a draft was brought: so many bytes are durable, and a note that its writer left with them.
type Checkpoint struct {
	Offset int64
	Note   []byte
}

// Draft is the one writer of an object. It is for one goroutine. It may buffer what is written, but no more than some
// parts' worth, however large the object is.
type Draft interface {
	// Checkpoint returns the checkpoint where the draft began: the last one that is durable.
	Checkpoint() Checkpoint
	// Writer appends at the end. What is written after the last Save is lost with the process.
	io.Writer
	// Save makes durable what was written, together with a note. Either the former checkpoint stands or this one.
	Save(ctx context.Context, note []byte) error
	// Commit makes the object durable, and then visible. If there is an object of this name already, it stays as it is, the draft is
	// dropped, and the error is fault.Exists. After any other error the last checkpoint can be gone on with.
	Commit(ctx context.Context) error
	// Replace is Commit, except that an object of this name that is there gives way. It is for one that was read and found
	// damaged. Its lock passes on to the new one; its bytes, damaged as they are, stay out of sight until the lock ends.
	Replace(ctx context.Context) error
	// Drop throws the draft away.
	Drop(ctx context.Context) error
	// Close gives up the writer. The last checkpoint stays, unless the draft was committed or dropped. Close may be repeated.
	Close() error
}

// Lock says until when an object may not be deleted.
type Lock struct {
	Until time.Time // whole seconds, UTC; zero for no date
	Hold  bool      // a legal hold stands, whatever the date
}

// Ends says whether an object under this lock may be deleted at a time.
func (l Lock) Ends(now time.Time) bool { return !l.Hold && !now.Before(l.Until) }

// Locked is the error of a Delete that came too early.
func Locked(name Name, l Lock) error {
	until := "until " + l.Until.UTC().Format(time.RFC3339)
	if l.Hold {
		until = "by a legal hold"
	}
	return fault.Preconditionf("OBJECT_LOCKED", name.String(), "%s is locked %s", name, until)
}

// Busy is the error of a second draft.
func Busy(name Name) error {
	return &fault.Error{Kind: fault.Aborted, Reason: "UPLOAD_IN_PROGRESS", Resource: name.String(),
		Message: fmt.Sprintf("%s is being written by another", name), Advice: "wait until that one ends, then ask how far it was brought"}
}
