// Package keyring keeps one key for each vendor, wrapped by a key-encryption key, so that the latter can be changed
// without touching what the vendor keys have sealed.
// It knows nothing of what is sealed, nor of databases and key management services.
package keyring

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

// KeyBytes is the length of a vendor's key.
const KeyBytes = 32

// KEK is a key-encryption key: a file, or a key in a KMS that it never leaves. Its methods may be called from several
// goroutines.
type KEK interface {
	// ID names the key, so that it is known which one wrapped what: "file:…", "vault:…". It does not change with the
	// generations of a file or the versions of a key in a KMS.
	ID() string
	// Wrap encrypts a vendor key under the newest generation. The context is bound to it and must be the same at Unwrap.
	Wrap(ctx context.Context, key, context []byte) ([]byte, error)
	// Unwrap returns it; fault.Corrupt if wrapped or context is not what was wrapped, fault.Unavailable if the KMS does not
	// answer now.
	Unwrap(ctx context.Context, wrapped, context []byte) ([]byte, error)
}

// Record is a wrapped key as it is kept.
type Record struct {
	KEK       string // ID of the key that wrapped it
	Wrapped   []byte
	Created   time.Time
	Rewrapped time.Time // zero if it never was
}

// Held is the record of one holder.
type Held struct {
	Holder resource.Organization
	Record
}

// Records is where wrapped keys are kept. What a method has written is durable when it returns. A lost record is the loss
// of all that its holder has deposited.
type Records interface {
	// VendorKey returns the record of a holder; fault.NotFound.
	VendorKey(ctx context.Context, holder resource.Organization) (Record, error)
	// AddVendorKey keeps a record, and returns the one that is there if another was first. fault.NotFound if there is no
	// such holder.
	AddVendorKey(ctx context.Context, holder resource.Organization, r Record) (Record, error)
	// ListVendorKeys lists records by the holder's name, those after the name `after`, at most limit.
	ListVendorKeys(ctx context.Context, after string, limit int) ([]Held, error)
	// ReplaceVendorKey puts next in the place of former; fault.Aborted if what is there is not former.
	ReplaceVendorKey(ctx context.Context, holder resource.Organization, former, next Record) error
}

// Keyring hands out the keys of vendors. Its methods may be called from several goroutines.
type Keyring struct {
	records Records
	wrap    KEK
	unwrap  map[string]KEK // by ID

	mu   sync.RWMutex
	keys map[resource.Organization]*Key
}

// New returns a keyring. Wrap wraps new keys; the former ones can still unwrap what they wrapped.
func New(records Records, wrap KEK, former ...KEK) *Keyring {
	k := &Keyring{records: records, wrap: wrap, unwrap: make(map[string]KEK), keys: make(map[resource.Organization]*Key)}
	for _, kek := range append(former, wrap) {
		k.unwrap[kek.ID()] = kek
	}
	return k
}

// Key returns the key of a holder, which is made at its first use. fault.Precondition with the reason WRONG_KEY if none of
// the key-encryption keys has wrapped it.
func (k *Keyring) Key(ctx context.Context, holder resource.Organization) (*Key, error) {
	key, err := k.Existing(ctx, holder)
	if !fault.Is(err, fault.NotFound) {
		return key, err
	}
	r, err := k.add(ctx, holder)
	if err != nil {
		return nil, err
	}
	return k.open(ctx, holder, r)
}

// Existing returns the key of a holder; fault.NotFound if none was made yet. Other errors as Key.
func (k *Keyring) Existing(ctx context.Context, holder resource.Organization) (*Key, error) {
	if key := k.cached(holder); key != nil {
		return key, ctx.Err()
	}
	r, err := k.records.VendorKey(ctx, holder)
	if err != nil {
		return nil, err
	}
	return k.open(ctx, holder, r)
}

func (k *Keyring) cached(holder resource.Organization) *Key {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.keys[holder]
}

// add makes a key and returns the record that stands then, which may be another's.
func (k *Keyring) add(ctx context.Context, holder resource.Organization) (Record, error) {
	root := make([]byte, KeyBytes)
	if _, err := rand.Read(root); err != nil {
		return Record{}, err
	}
	r, err := k.wrapped(ctx, holder, root)
	if err != nil {
		return Record{}, err
	}
	r.Created = now()
	return k.records.AddVendorKey(ctx, holder, r)
}

// now has microseconds, as what comes back from a database has.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

func (k *Keyring) wrapped(ctx context.Context, holder resource.Organization, root []byte) (Record, error) {
	w, err := k.wrap.Wrap(ctx, root, wrapContext(holder))
	if err != nil {
		return Record{}, fmt.Errorf("wrap the key of %s: %w", holder, err)
	}
	return Record{KEK: k.wrap.ID(), Wrapped: w}, nil
}

// wrapContext binds a wrapped key to its holder: a record moved to another holder does not unwrap.
func wrapContext(holder resource.Organization) []byte {
	return []byte("countersign vendor key\x00" + holder.String())
}

// open unwraps a record and remembers the key.
func (k *Keyring) open(ctx context.Context, holder resource.Organization, r Record) (*Key, error) {
	root, err := k.unwrapped(ctx, holder, r)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys[holder] == nil {
		k.keys[holder] = newKey(root)
	}
	return k.keys[holder], nil
}

func (k *Keyring) unwrapped(ctx context.Context, holder resource.Organization, r Record) ([]byte, error) {
	kek := k.unwrap[r.KEK]
	if kek == nil {
		return nil, wrongKey(holder, r.KEK)
	}
	root, err := kek.Unwrap(ctx, r.Wrapped, wrapContext(holder))
	if err != nil {
		return nil, fmt.Errorf("unwrap the key of %s: %w", holder, err)
	}
	if len(root) != KeyBytes {
		return nil, fault.Corruptf(holder.String(), "the key of %s has %d bytes, not %d", holder, len(root), KeyBytes)
	}
	return root, nil
}

func wrongKey(holder resource.Organization, id string) error {
	return fault.Preconditionf("WRONG_KEY", holder.String(), "the key of %s is wrapped by the key-encryption key %.80q, which is not here", holder, id).
		WithAdvice("give the service the key-encryption key that belongs to this catalog, as the present or a former one")
}

// pageLen is how many records are read at once.
const pageLen = 100

// each calls f with every record.
func (k *Keyring) each(ctx context.Context, f func(Held) error) error {
	for after := ""; ; {
		page, err := k.records.ListVendorKeys(ctx, after, pageLen)
		if err != nil {
			return err
		}
		for _, h := range page {
			if err := f(h); err != nil {
				return err
			}
			after = h.Holder.String()
		}
		if len(page) < pageLen {
			return nil
		}
	}
}

// Check says whether every vendor key can be unwrapped: each names a key-encryption key that is here, and one of each that
// is named is unwrapped. fault.Precondition with the reason WRONG_KEY if not.
func (k *Keyring) Check(ctx context.Context) error {
	tried := make(map[string]bool)
	return k.each(ctx, func(h Held) error {
		if tried[h.KEK] {
			return nil
		}
		_, err := k.unwrapped(ctx, h.Holder, h.Record)
		tried[h.KEK] = true
		return err
	})
}

// Rewrap wraps every vendor key anew under the newest generation of the present key-encryption key, and returns how many
// there are. Each, which may be nil, is called after each one. What the vendor keys have sealed is not touched. Where it
// breaks off, calling it again does no harm.
func (k *Keyring) Rewrap(ctx context.Context, each func(holder resource.Organization)) (int, error) {
	n := 0
	err := k.each(ctx, func(h Held) error {
		if err := k.rewrap(ctx, h); err != nil {
			return err
		}
		n++
		if each != nil {
			each(h.Holder)
		}
		return nil
	})
	return n, err
}

func (k *Keyring) rewrap(ctx context.Context, h Held) error {
	root, err := k.unwrapped(ctx, h.Holder, h.Record)
	if err != nil {
		return err
	}
	next, err := k.wrapped(ctx, h.Holder, root)
	if err != nil {
		return err
	}
	// What cannot be read back must not take the place of what can.
	if back, err := k.unwrapped(ctx, h.Holder, next); err != nil {
		return err
	} else if !bytes.Equal(back, root) {
		return fmt.Errorf("the key of %s comes back from its new wrapping as another", h.Holder)
	}
	next.Created, next.Rewrapped = h.Created, now()
	return k.records.ReplaceVendorKey(ctx, h.Holder, h.Record, next)
}
