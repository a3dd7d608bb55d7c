package seal

import (
	"context"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/blob/object"
)

// Kept returns the lock of a blob, for whoever checks that it is what Keep promised; fault.NotFound if it is not held.
func (s *Store) Kept(ctx context.Context, ref blob.Ref) (object.Lock, error) {
	_, name, err := s.find(ctx, ref)
	if err != nil {
		return object.Lock{}, err
	}
	lock, err := s.objects.Kept(ctx, name.Name)
	if err != nil {
		return object.Lock{}, named(ref, err)
	}
	return lock, nil
}
