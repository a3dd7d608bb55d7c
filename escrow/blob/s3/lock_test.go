package s3

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/blob/object/objecttest"
	"github.com/countersign-escrow/countersign/escrow/blob/s3/miniotest"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

func put(t *testing.T, s *Store, name object.Name, content []byte) {
	t.Helper()
	d := begin(t, s, name, 0)
	write(t, d, content)
	must(t, d.Commit(t.Context()))
	must(t, d.Close())
}

// What the server itself refuses, to the root user, too, who goes round the store.
func serverRefuses(t *testing.T, srv *miniotest.Server) {
	s, _ := newStore(t, srv)
	put(t, s, named("a"), []byte("content"))
	until := time.Now().Add(time.Hour)
	must(t, s.Keep(t.Context(), named("a"), object.Lock{Until: until}))
	key := s.objectKey(named("a"))
	info, err := s.stat(t.Context(), named("a"))
	must(t, err)

	var onlyNew minio.PutObjectOptions
	onlyNew.SetMatchETagExcept("*")
	if _, err := s.put(t.Context(), key, []byte("other"), onlyNew); !isPrecondition(err) {
		t.Errorf("overwriting: %v", err)
	}
	for _, bypass := range []bool{false, true} {
		err := s.core.RemoveObject(t.Context(), s.bucket, key, minio.RemoveObjectOptions{VersionID: info.VersionID, GovernanceBypass: bypass})
		if err == nil {
			t.Errorf("a locked version was deleted (bypass: %v)", bypass)
		}
		mode, sooner := minio.Compliance, time.Now().Add(time.Minute)
		err = s.core.PutObjectRetention(t.Context(), s.bucket, key, minio.PutObjectRetentionOptions{Mode: &mode, RetainUntilDate: &sooner,
			VersionID: info.VersionID, GovernanceBypass: bypass})
		if err == nil {
			t.Errorf("a retention was shortened (bypass: %v)", bypass)
		}
	}
	objecttest.WantHeld(t, s, named("a"), []byte("content"))
}

func unfitBuckets(t *testing.T, srv *miniotest.Server) {
	s, cfg := newStore(t, srv)
	missing, plain, locking := cfg, configOf(srv), configOf(srv)
	missing.Bucket = "no-such-bucket"
	must(t, s.core.MakeBucket(t.Context(), plain.Bucket, minio.MakeBucketOptions{}))
	_, err := CreateBucket(t.Context(), locking)
	must(t, err)
	mode, days, unit := minio.Governance, uint(1), minio.Days
	must(t, s.core.SetObjectLockConfig(t.Context(), locking.Bucket, &mode, &days, &unit))
	wrongKey := cfg
	wrongKey.SecretKey = "wrong secret"
	for text, c := range map[string]Config{"does not exist": missing, "has no object lock": plain, "default retention": locking} {
		_, err := Open(t.Context(), c)
		wantKind(t, err, fault.Precondition, text)
		wantKind(t, err, fault.Precondition, "mc ")
	}
	_, err = CreateBucket(t.Context(), plain)
	wantKind(t, err, fault.Precondition, "has no object lock")
	_, err = CreateBucket(t.Context(), cfg) // is there, and as it should be
	must(t, err)
	_, err = Open(t.Context(), wrongKey)
	wantKind(t, err, fault.Unavailable, "check the access key")
	for field, c := range map[string]Config{
		"endpoint": {Bucket: "b"}, "bucket": {Endpoint: "e"}, "access key": {Endpoint: "e", Bucket: "b", AccessKey: "a"},
		"prefix": {Endpoint: "e", Bucket: "b", Prefix: "p"}, "CA file": {Endpoint: "e", Bucket: "b", CAFile: "/dev/null"},
	} {
		_, err := Open(t.Context(), c)
		wantKind(t, err, fault.Invalid, field)
	}
}

// Two deployments share a bucket.
func prefix(t *testing.T, srv *miniotest.Server) {
	s, cfg := newStore(t, srv)
	put(t, s, named("a"), []byte("content"))
	cfg.Prefix = "other/deployment/"
	other := open(t, cfg)
	_, err := other.Open(t.Context(), named("a"))
	wantKind(t, err, fault.NotFound, "")
	put(t, other, named("b"), []byte("content"))
	for name, s := range map[object.Name]*Store{named("a"): s, named("b"): other} {
		must(t, s.Names(t.Context(), func(n object.Name) error {
			if n != name {
				t.Errorf("%s is in %q", n, s.prefix)
			}
			return nil
		}))
	}
}

// The rights that the documentation gives the service's access key are enough.
func documentedRights(t *testing.T, srv *miniotest.Server) {
	s, _ := newStore(t, srv)
	sts, err := credentials.NewSTSAssumeRole("http://"+srv.Endpoint, credentials.STSAssumeRoleOptions{AccessKey: srv.AccessKey,
		SecretKey: srv.SecretKey, Policy: policyInDocs(t, s.bucket), DurationSeconds: 3600})
	must(t, err)
	s.core, err = minio.NewCore(srv.Endpoint, &minio.Options{Creds: sts, Region: "us-east-1", TrailingHeaders: true})
	must(t, err)
	must(t, s.checkBucket(t.Context()))
	must(t, s.Ready(t.Context()))
	content := objecttest.Content("a", firstPartBytes+1)
	d := begin(t, s, named("a"), 0)
	write(t, d, content)
	must(t, d.Save(t.Context(), nil))
	must(t, d.Save(t.Context(), nil))
	must(t, d.Commit(t.Context()))
	objecttest.WantHeld(t, s, named("a"), content)
	must(t, s.Keep(t.Context(), named("a"), object.Lock{Until: time.Now().Add(2 * time.Second), Hold: true}))
	wantKind(t, s.Delete(t.Context(), named("a")), fault.Precondition, "legal hold")
	must(t, s.Keep(t.Context(), named("a"), object.Lock{}))
	d = begin(t, s, named("b"), 0)
	write(t, d, content)
	must(t, d.Save(t.Context(), nil))
	must(t, d.Close())
	if n, err := s.Sweep(t.Context(), time.Now().Add(time.Hour)); n != 1 || err != nil {
		t.Errorf("%d swept: %v", n, err)
	}
	time.Sleep(3 * time.Second)
	must(t, s.Delete(t.Context(), named("a")))
	mode, days, unit := minio.Governance, uint(1), minio.Days
	if err := s.core.SetObjectLockConfig(t.Context(), s.bucket, &mode, &days, &unit); err == nil {
		t.Error("the rights allow more than is needed")
	}
}

// A bit flips on the server's disk: in the middle of an object, at its start, and in one so small that it lies with its metadata.
func damageIsCorrupt(t *testing.T, srv *miniotest.Server) {
	s, cfg := newStore(t, srv)
	for what, c := range map[string]struct{ size, at int }{"middle": {5 << 20, 3 << 20}, "start": {5 << 20, 0}, "small": {1000, 500}} {
		t.Run(what, func(t *testing.T) {
			content := objecttest.Content(what, c.size)
			put(t, s, named(what), content)
			flip(t, filepath.Join(srv.Dir, cfg.Bucket), content[c.at:c.at+64])
			o, err := s.Open(t.Context(), named(what))
			must(t, err)
			defer o.Close()
			_, err = o.ReadAt(make([]byte, len(content)), 0)
			wantKind(t, err, fault.Corrupt, "cannot read")
		})
	}
}

// flip flips a bit where some bytes lie in a folder.
func flip(t *testing.T, dir string, content []byte) {
	t.Helper()
	damaged := 0
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		must(t, err)
		at := bytes.Index(b, content)
		if at < 0 {
			return nil
		}
		damaged++
		b[at] ^= 1
		return os.WriteFile(path, b, 0o600)
	}))
	if damaged != 1 {
		t.Fatalf("%d files were damaged", damaged)
	}
}

// policyInDocs returns the policy that the documentation gives for the service's access key, for another bucket.
func policyInDocs(t *testing.T, bucket string) string {
	t.Helper()
	page, err := os.ReadFile("../../../docs/object-storage.md")
	must(t, err)
	_, rest, _ := strings.Cut(string(page), "```json\n")
	policy, _, found := strings.Cut(rest, "```")
	if !found || !json.Valid([]byte(policy)) {
		t.Fatal("docs/object-storage.md has no policy in JSON")
	}
	return strings.ReplaceAll(policy, "countersign-objects", bucket)
}
