// Package seal keeps blobs encrypted: under a key of their holder's, in pieces that can be read one by one, as objects
// whose names tell nothing without that key.
// It knows nothing of where objects are kept, nor of who may read a blob.
package seal

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/keyring"
)

// Store is a blob.Store whose blobs are sealed objects.
type Store struct {
	objects object.Store
	keys    *keyring.Keyring
}

var _ blob.Store = (*Store)(nil)

// New returns a store of objects that are sealed with the keys of a keyring.
func New(objects object.Store, keys *keyring.Keyring) *Store {
	return &Store{objects: objects, keys: keys}
}

// nameOf returns the name of a blob's object: HMAC-SHA-256 of the digest.
func nameOf(key *keyring.Key, d digest.Digest) sealedName {
	h := hmac.New(sha256.New, key.Derive(keyring.ObjectNames, nil, nil))
	h.Write(d.Bytes())
	var n sealedName
	h.Sum(n.sum[:0])
	n.Name = object.NameOf(n.sum)
	return n
}

// find returns the key and the name of a blob that may be there; fault.NotFound if its holder has deposited nothing yet.
func (s *Store) find(ctx context.Context, ref blob.Ref) (*keyring.Key, sealedName, error) {
	key, err := s.keys.Existing(ctx, ref.Holder)
	if fault.Is(err, fault.NotFound) {
		return nil, sealedName{}, fault.NoSuch(ref.String())
	}
	if err != nil {
		return nil, sealedName{}, err
	}
	return key, nameOf(key, ref.Digest), nil
}

// Open opens a blob for reading, and checks its size, its header and its first chunk.
func (s *Store) Open(ctx context.Context, ref blob.Ref) (blob.Blob, error) {
	key, name, err := s.find(ctx, ref)
	if err != nil {
		return nil, err
	}
	return s.open(ctx, ref, key, name)
}

func (s *Store) open(ctx context.Context, ref blob.Ref, key *keyring.Key, name sealedName) (*sealed, error) {
	o, err := s.objects.Open(ctx, name.Name)
	if err != nil {
		return nil, named(ref, err)
	}
	b, err := newSealed(ref, o, key, name)
	if err != nil {
		return nil, errors.Join(err, o.Close())
	}
	return b, nil
}

// named says of which blob an object's error is: the object's own name tells nobody anything.
func named(ref blob.Ref, err error) error {
	switch {
	case fault.Is(err, fault.NotFound):
		return fault.NoSuch(ref.String())
	case fault.Is(err, fault.Corrupt):
		return damaged(ref, 0, err)
	}
	return fmt.Errorf("%s: %w", ref, err)
}

// damaged says that what is in custody is not what was stored.
func damaged(ref blob.Ref, offset int64, err error) error {
	c := fault.Corruptf(ref.String(), "%s is damaged at byte %d", ref, offset).WithAdvice("restore it from a backup, or have its holder send it again")
	c.Err = err
	return c
}

// Stat returns the size of a blob.
func (s *Store) Stat(ctx context.Context, ref blob.Ref) (int64, error) {
	b, err := s.Open(ctx, ref)
	if err != nil {
		return 0, err
	}
	return b.Size(), b.Close()
}

// Keep sees to it that nobody deletes a blob before a lock ends.
func (s *Store) Keep(ctx context.Context, ref blob.Ref, lock object.Lock) error {
	_, name, err := s.find(ctx, ref)
	if err != nil {
		return err
	}
	if err := s.objects.Keep(ctx, name.Name, lock); err != nil {
		return named(ref, err)
	}
	return nil
}

// verify reads a blob whole and checks it against its digest. It returns the size.
func (s *Store) verify(ctx context.Context, ref blob.Ref) (size int64, err error) {
	b, err := s.Open(ctx, ref)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	h := sha256.New()
	buffer := make([]byte, min(b.Size(), aheadBytes))
	for at := int64(0); at < b.Size(); {
		n, err := b.ReadAt(buffer, at)
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		h.Write(buffer[:n])
		at += int64(n)
	}
	if got := digest.FromHash(h); got != ref.Digest {
		return 0, damaged(ref, 0, fmt.Errorf("its digest is %s", got))
	}
	return b.Size(), nil
}
