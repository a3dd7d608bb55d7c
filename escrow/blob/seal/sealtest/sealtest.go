// Package sealtest makes sealed stores for tests: real ones, in a temporary folder, under a key that is always the same.
// It is not for programs.
package sealtest

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/blob/fs"
	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/blob/seal"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/keyring"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

// Open makes an empty store in a temporary folder.
func Open(t testing.TB) *seal.Store {
	t.Helper()
	return Over(Folder(t), &Records{})
}

// Folder makes an empty store of objects in a temporary folder, which lets go of its drafts when the test ends.
func Folder(t testing.TB) *fs.Store {
	t.Helper()
	s, err := fs.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// Over makes a sealed store over some objects, with the keys of some records.
func Over(objects object.Store, records keyring.Records) *seal.Store {
	return seal.New(objects, keyring.New(records, KEK{}))
}

// KEK stands for a key-encryption key: it wraps nothing, but binds what it is told to.
type KEK struct{ Name string }

// ID returns the name of the key.
func (k KEK) ID() string { return "test:" + k.Name }

// Wrap puts key and context together.
func (k KEK) Wrap(_ context.Context, key, about []byte) ([]byte, error) {
	return slices.Concat([]byte(k.Name), about, key), nil
}

// Unwrap takes them apart.
func (k KEK) Unwrap(_ context.Context, wrapped, about []byte) ([]byte, error) {
	head := slices.Concat([]byte(k.Name), about)
	if !bytes.HasPrefix(wrapped, head) {
		return nil, fault.Corruptf("", "this was not wrapped by %s, or not for this holder", k.ID())
	}
	return bytes.Clone(wrapped[len(head):]), nil
}

// Records keeps wrapped keys in memory. The zero value is ready.
type Records struct {
	mu   sync.Mutex
	kept map[resource.Organization]keyring.Record
}

// VendorKey returns the record of a holder.
func (r *Records) VendorKey(ctx context.Context, holder resource.Organization) (keyring.Record, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	have, ok := r.kept[holder]
	if !ok {
		return have, fault.NoSuch("key of " + holder.String())
	}
	return have, ctx.Err()
}

// AddVendorKey keeps a record, and returns the one that stands then.
func (r *Records) AddVendorKey(ctx context.Context, holder resource.Organization, add keyring.Record) (keyring.Record, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kept == nil {
		r.kept = make(map[resource.Organization]keyring.Record)
	}
	if _, ok := r.kept[holder]; !ok {
		r.kept[holder] = add
	}
	return r.kept[holder], ctx.Err()
}

// ListVendorKeys lists records by the holder's name.
func (r *Records) ListVendorKeys(ctx context.Context, after string, limit int) (page []keyring.Held, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for holder, have := range r.kept {
		if holder.String() > after {
			page = append(page, keyring.Held{Holder: holder, Record: have})
		}
	}
	slices.SortFunc(page, func(a, b keyring.Held) int { return strings.Compare(a.Holder.String(), b.Holder.String()) })
	return page[:min(limit, len(page))], ctx.Err()
}

// ReplaceVendorKey puts next in the place of former.
func (r *Records) ReplaceVendorKey(ctx context.Context, holder resource.Organization, former, next keyring.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if have := r.kept[holder]; have.KEK != former.KEK || !bytes.Equal(have.Wrapped, former.Wrapped) {
		return &fault.Error{Kind: fault.Aborted, Reason: "ABORTED", Resource: holder.String(), Message: "rewrapped by another"}
	}
	r.kept[holder] = next
	return ctx.Err()
}
