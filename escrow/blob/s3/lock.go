package s3

import (
	"context"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

// The headers in which the server says how an object is locked.
const (
	modeHeader  = "X-Amz-Object-Lock-Mode"
	untilHeader = "X-Amz-Object-Lock-Retain-Until-Date"
	holdHeader  = "X-Amz-Object-Lock-Legal-Hold"
)

// Keep locks the present version in COMPLIANCE mode until the later of its date and the lock's, and sets or lifts its legal hold.
func (s *Store) Keep(ctx context.Context, name object.Name, lock object.Lock) error {
	info, err := s.stat(ctx, name)
	if err != nil {
		return err
	}
	have := lockOf(info)
	if err := s.extend(ctx, info, have.Until, wholeSeconds(lock.Until)); err != nil {
		return s.fail("lock", info.Key, err)
	}
	if have.Hold == lock.Hold {
		return nil
	}
	return s.fail("set the legal hold of", info.Key, s.setHold(ctx, info, lock.Hold))
}

// extend sets a later date. Where another was quicker with a date still later, the server refuses this one, and that is as well.
func (s *Store) extend(ctx context.Context, info minio.ObjectInfo, have, until time.Time) error {
	if !until.After(have) || !until.After(time.Now()) {
		return nil
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	mode := minio.Compliance
	err := s.core.PutObjectRetention(ctx, s.bucket, info.Key,
		minio.PutObjectRetentionOptions{Mode: &mode, RetainUntilDate: &until, VersionID: info.VersionID})
	if err == nil || !isAnswer(err) {
		return err
	}
	again, statErr := s.core.StatObject(ctx, s.bucket, info.Key, minio.StatObjectOptions{VersionID: info.VersionID})
	if statErr == nil && !lockOf(again).Until.Before(until) {
		return nil
	}
	return err
}

// setHold sets the hold of one version, and lifts that of all: an object that was replaced has versions under it that were held.
func (s *Store) setHold(ctx context.Context, info minio.ObjectInfo, hold bool) error {
	if hold {
		return s.setHoldOf(ctx, info.Key, info.VersionID, minio.LegalHoldEnabled)
	}
	return s.eachVersion(ctx, info.Key, func(o minio.ObjectInfo) error {
		if o.IsDeleteMarker {
			return nil
		}
		return s.setHoldOf(ctx, o.Key, o.VersionID, minio.LegalHoldDisabled)
	})
}

func (s *Store) setHoldOf(ctx context.Context, key, version string, status minio.LegalHoldStatus) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	return s.core.PutObjectLegalHold(ctx, s.bucket, key, minio.PutObjectLegalHoldOptions{Status: &status, VersionID: version})
}

// Kept asks the server.
func (s *Store) Kept(ctx context.Context, name object.Name) (object.Lock, error) {
	info, err := s.stat(ctx, name)
	if err != nil {
		return object.Lock{}, err
	}
	return lockOf(info), nil
}

// lockOf reads the lock in an answer. A date in another mode than COMPLIANCE is none: it could be taken back.
func lockOf(info minio.ObjectInfo) object.Lock {
	lock := object.Lock{Hold: info.Metadata.Get(holdHeader) == "ON"}
	if info.Metadata.Get(modeHeader) != string(minio.Compliance) {
		return lock
	}
	if t, err := time.Parse(time.RFC3339, info.Metadata.Get(untilHeader)); err == nil {
		lock.Until = t.UTC().Truncate(time.Second)
	}
	return lock
}

func wholeSeconds(t time.Time) time.Time {
	if whole := t.Truncate(time.Second); whole.Before(t) {
		return whole.Add(time.Second).UTC()
	}
	return t.UTC()
}

// Delete removes every version of an object, so that nothing of it is left. The server refuses what is locked, whoever asks.
func (s *Store) Delete(ctx context.Context, name object.Name) error {
	info, err := s.stat(ctx, name)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	if lock := lockOf(info); !lock.Ends(time.Now()) {
		return object.Locked(name, lock)
	}
	return s.fail("delete", s.objectKey(name), s.removeVersions(ctx, s.objectKey(name)))
}
