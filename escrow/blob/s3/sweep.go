package s3

import (
	"context"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
)

// Sweep removes the drafts whose last checkpoint is older, aborts the uploads that belong to none, and removes probes left behind.
// Only drafts are counted. What is being written in this process is left alone.
func (s *Store) Sweep(ctx context.Context, since time.Time) (int, error) {
	swept, err := s.sweepDrafts(ctx, since)
	if err == nil {
		err = s.sweepUploads(ctx, s.prefix+objectsFolder, since, s.writing)
	}
	if err == nil {
		err = s.sweepProbes(ctx, since)
	}
	if err == nil {
		err = ctx.Err()
	}
	return swept, err
}

func (s *Store) sweepDrafts(ctx context.Context, since time.Time) (swept int, err error) {
	folder := s.prefix + draftsFolder
	for o := range s.core.ListObjectsIter(ctx, s.bucket, minio.ListObjectsOptions{Prefix: folder, Recursive: true}) {
		if o.Err != nil {
			return swept, s.fail("list", folder, o.Err)
		}
		name, err := object.ParseName(o.Key[len(folder):])
		if err != nil || !o.LastModified.Before(since) {
			continue // not ours, or in use
		}
		if done, err := s.sweepDraft(ctx, name, since); err != nil {
			return swept, err
		} else if done {
			swept++
		}
	}
	return swept, nil
}

func (s *Store) sweepDraft(ctx context.Context, name object.Name, since time.Time) (bool, error) {
	if !s.enter(name) {
		return false, nil
	}
	defer s.leave(name)
	found, err := s.readSidecar(ctx, s.draftKey(name))
	if err != nil {
		return false, err
	}
	// The whole key as the prefix: MinIO forgets, when it restarts, which uploads it has under shorter ones.
	if err := s.sweepUploads(ctx, s.objectKey(name), since, nobody); err != nil {
		return false, err
	}
	return true, s.dropDraft(ctx, name, found, found.Upload)
}

func nobody(object.Name) bool { return false }

// sweepUploads aborts the uploads that were begun before a time, whose draft does not know of them, and that nobody here writes to.
func (s *Store) sweepUploads(ctx context.Context, prefix string, since time.Time, writing func(object.Name) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for u := range s.core.ListIncompleteUploads(ctx, s.bucket, prefix, true) {
		if u.Err != nil {
			return s.fail("list the uploads of", prefix, u.Err)
		}
		name, ok := s.nameOf(u.Key)
		if !ok || !u.Initiated.Before(since) || writing(name) {
			continue
		}
		kept, err := s.readSidecar(ctx, s.draftKey(name))
		if err != nil {
			return err
		}
		if kept.Upload == u.UploadID {
			continue
		}
		if err := s.abort(ctx, name, u.UploadID); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) writing(name object.Name) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.drafts[name]
}

func (s *Store) sweepProbes(ctx context.Context, since time.Time) error {
	key := s.prefix + probeKey
	return s.fail("sweep", key, s.eachVersion(ctx, key, func(o minio.ObjectInfo) error {
		if !o.LastModified.Before(since) {
			return nil
		}
		return s.removeVersion(ctx, key, o.VersionID)
	}))
}
