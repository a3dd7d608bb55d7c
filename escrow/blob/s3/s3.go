// Package s3 keeps sealed objects in an S3 bucket with object lock: conditional writes, so that nothing is ever overwritten,
// SHA-256 checksums that the server verifies, and retention that not even the bucket's owner can shorten.
// It knows nothing of what an object holds, of digests, nor of keys.
//
// Under the prefix lie objects/<2 digits>/<name>, each written once, and drafts/<name>, a small object per unfinished upload.
package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

// Where things lie under the prefix.
const (
	objectsFolder = "objects/"
	draftsFolder  = "drafts/"
	probeKey      = "ready"
)

// probeEvery is how long a probe that could be written is believed.
const probeEvery = 30 * time.Second

// Store is an object.Store in a bucket.
type Store struct {
	core   *minio.Core
	bucket string
	prefix string

	mu     sync.Mutex
	drafts map[object.Name]bool // being written in this process
	probed time.Time            // when the bucket could last be written to
}

var _ object.Store = (*Store)(nil)

// Open connects to a bucket and checks that it is fit: that it is there, that object lock is on, and that no default retention would
// lock unfinished uploads. Errors say how to make such a bucket.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	s, err := connect(cfg)
	if err != nil {
		return nil, err
	}
	return s, s.checkBucket(ctx)
}

// CreateBucket makes the bucket with object lock, unless it is there, and opens it.
func CreateBucket(ctx context.Context, cfg Config) (*Store, error) {
	s, err := connect(cfg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	err = s.core.MakeBucket(ctx, s.bucket, minio.MakeBucketOptions{Region: cfg.Region, ObjectLocking: true})
	if err != nil && !hasCode(err, "BucketAlreadyOwnedByYou", "BucketAlreadyExists") {
		return nil, s.fail("create the bucket", "", err)
	}
	return s, s.checkBucket(ctx)
}

func (s *Store) checkBucket(ctx context.Context) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	there, err := s.core.BucketExists(ctx, s.bucket)
	if err != nil {
		return s.fail("look up the bucket", "", err)
	}
	enabled, mode, _, _, err := s.core.GetObjectLockConfig(ctx, s.bucket)
	switch {
	case !there:
		return s.unfit("does not exist", "make it with object lock, for example: mc mb --with-lock ALIAS/%s", s.bucket)
	case hasCode(err, "ObjectLockConfigurationNotFoundError") || err == nil && enabled != "Enabled":
		return s.unfit("has no object lock", "object lock can only be turned on when a bucket is made: make another one, for example: mc mb --with-lock ALIAS/NAME")
	case err != nil:
		return s.fail("ask for object lock", "", err)
	case mode != nil:
		return s.unfit("has a default retention, which would lock unfinished uploads", "remove it: mc retention clear --default ALIAS/%s", s.bucket)
	}
	return nil
}

func (s *Store) unfit(what, advice string, args ...any) error {
	return fault.Preconditionf("FAILED_PRECONDITION", "", "the bucket %s %s", s.bucket, what).WithAdvice(advice, args...)
}

// Ready asks for the bucket each time, and writes a probe from time to time.
func (s *Store) Ready(ctx context.Context) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	there, err := s.core.BucketExists(ctx, s.bucket)
	if err == nil && !there {
		return s.unfit("does not exist", "see docs/object-storage.md")
	}
	if err == nil && s.probeIsDue() {
		err = s.probe(ctx)
	}
	return s.fail("probe", s.prefix+probeKey, err)
}

func (s *Store) probeIsDue() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.probed) > probeEvery
}

func (s *Store) probe(ctx context.Context) error {
	key := s.prefix + probeKey
	info, err := s.put(ctx, key, []byte(rand.Text()), minio.PutObjectOptions{})
	if err == nil {
		err = s.removeVersion(ctx, key, info.VersionID)
	}
	if err == nil {
		s.mu.Lock()
		s.probed = time.Now()
		s.mu.Unlock()
	}
	return err
}

// Names lists the bucket.
func (s *Store) Names(ctx context.Context, each func(object.Name) error) error {
	folder := s.prefix + objectsFolder
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for o := range s.core.ListObjectsIter(ctx, s.bucket, minio.ListObjectsOptions{Prefix: folder, Recursive: true}) {
		if o.Err != nil {
			return s.fail("list", folder, o.Err)
		}
		name, ok := s.nameOf(o.Key)
		if !ok {
			continue // not ours
		}
		if err := each(name); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (s *Store) objectKey(n object.Name) string {
	return s.prefix + objectsFolder + n.String()[:2] + "/" + n.String()
}

func (s *Store) draftKey(n object.Name) string { return s.prefix + draftsFolder + n.String() }

// nameOf says which object lies under a key.
func (s *Store) nameOf(key string) (object.Name, bool) {
	name, err := object.ParseName(key[strings.LastIndexByte(key, '/')+1:])
	return name, err == nil && s.objectKey(name) == key
}

// put writes a small object in one request; the server refuses it if it is not what its SHA-256 says.
func (s *Store) put(ctx context.Context, key string, body []byte, opts minio.PutObjectOptions) (minio.UploadInfo, error) {
	ctx, cancel := boundedFor(ctx, int64(len(body)))
	defer cancel()
	if opts.UserMetadata == nil {
		opts.UserMetadata = map[string]string{}
	}
	opts.UserMetadata[checksumHeader] = checksum(body)
	opts.DisableContentSha256 = true // the checksum is signed with the headers: a second one would say the same
	return s.core.PutObject(ctx, s.bucket, key, bytes.NewReader(body), int64(len(body)), "", "", opts)
}

// removeVersion removes one version for good; one that is not there is no error.
func (s *Store) removeVersion(ctx context.Context, key, version string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	err := s.core.RemoveObject(ctx, s.bucket, key, minio.RemoveObjectOptions{VersionID: version})
	if hasCode(err, "NoSuchKey", "NoSuchVersion") {
		return nil
	}
	return err
}

// removeVersions removes every version of a key, delete markers too.
func (s *Store) removeVersions(ctx context.Context, key string) error {
	return s.eachVersion(ctx, key, func(o minio.ObjectInfo) error { return s.removeVersion(ctx, key, o.VersionID) })
}

// eachVersion lists the versions of one key.
func (s *Store) eachVersion(ctx context.Context, key string, each func(minio.ObjectInfo) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for o := range s.core.ListObjectsIter(ctx, s.bucket, minio.ListObjectsOptions{Prefix: key, WithVersions: true, Recursive: true}) {
		if o.Err != nil {
			return o.Err
		}
		if o.Key != key {
			continue
		}
		if err := each(o); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// stat returns what the server knows of the present version of an object; fault.NotFound if there is none.
func (s *Store) stat(ctx context.Context, name object.Name) (minio.ObjectInfo, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	info, err := s.core.StatObject(ctx, s.bucket, s.objectKey(name), minio.StatObjectOptions{Checksum: true})
	if hasCode(err, "NoSuchKey") {
		return info, fault.NoSuch(name.String())
	}
	return info, s.fail("look up", s.objectKey(name), err)
}
