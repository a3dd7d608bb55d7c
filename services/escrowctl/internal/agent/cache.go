package agent

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
)

// Files is what is needed of an evaluation service. Its errors are domain errors.
type Files interface {
	ReadBlob(context.Context, *pb.ReadBlobRequest, ...grpc.CallOption) (grpc.ServerStreamingClient[pb.ReadBlobResponse], error)
}

// Cache keeps the files of releases that were fetched, by digest. Several processes may share its folder.
type Cache struct {
	dir   string
	files Files

	mu   sync.Mutex
	busy map[digest.Digest]*sync.Mutex
}

// NewCache makes a cache in a folder, which is made if need be.
func NewCache(dir string, files Files) (*Cache, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return &Cache{dir: dir, files: files, busy: make(map[digest.Digest]*sync.Mutex)}, nil
}

// Open returns a file of a release, fetched if need be. Its digest has been checked, now and not some time ago. Size is
// what it must have, -1 if that is not known.
func (c *Cache) Open(ctx context.Context, release resource.Release, d digest.Digest, size int64) (*os.File, error) {
	lock := c.lockOf(d)
	lock.Lock()
	defer lock.Unlock()
	path := filepath.Join(c.dir, d.Hex())
	if f, err := openChecked(path, d); err == nil {
		return f, checkSize(f, size)
	} else if !errors.Is(err, fs.ErrNotExist) {
		os.Remove(path) // it went bad: fetch it again
	}
	if err := c.fetch(ctx, release, d, size, path); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return f, checkSize(f, size)
}

// checkSize holds what a manifest says of a file's size against the file, and closes it if that is wrong.
func checkSize(f *os.File, size int64) error {
	info, err := f.Stat()
	if err == nil && size >= 0 && info.Size() != size {
		err = fault.Corruptf(f.Name(), "has %d bytes, the manifest says %d", info.Size(), size)
	}
	if err != nil {
		f.Close()
	}
	return err
}

func (c *Cache) lockOf(d digest.Digest) *sync.Mutex {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy[d] == nil {
		c.busy[d] = new(sync.Mutex)
	}
	return c.busy[d]
}

var errChanged = errors.New("does not have its digest")

func openChecked(path string, d digest.Digest) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	got, _, err := digest.FromReader(f)
	if err == nil && got != d {
		err = errChanged
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// maxBlob bounds a file whose size nobody told.
const maxBlob = 64 << 30

// fetch brings a file, checks it, and puts it in its place.
func (c *Cache) fetch(ctx context.Context, release resource.Release, d digest.Digest, size int64, path string) error {
	if size < 0 {
		size = maxBlob
	}
	tmp, err := os.CreateTemp(c.dir, "fetch-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	f := &fetching{Cache: c, req: &pb.ReadBlobRequest{Release: release.String(), Digest: d.String()}, file: tmp, hash: sha256.New(), most: size}
	if err := f.run(ctx); err != nil {
		return err
	}
	if got := digest.FromHash(f.hash); got != d {
		return &fault.Error{Kind: fault.Unavailable, Reason: "CORRUPT", Message: fmt.Sprintf("the service sent %s for %s", got, d)}
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// fetching is one file on its way.
type fetching struct {
	*Cache
	req  *pb.ReadBlobRequest
	file io.Writer
	hash hash.Hash
	most int64
}

// run reads to the end, going on where a connection broke.
func (f *fetching) run(ctx context.Context) error {
	const attempts = 6
	for failed, wait := 0, 200*time.Millisecond; ; wait *= 2 {
		before := f.req.ReadOffset
		err := f.stream(ctx)
		if err == nil || !passing(err) || ctx.Err() != nil {
			return withdrawn(err)
		}
		if f.req.ReadOffset > before {
			failed, wait = 0, 200*time.Millisecond
		}
		if failed++; failed >= attempts {
			return err
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// withdrawn sees to it that a file which the service no longer gives is not taken for one that the vendor never deposited.
func withdrawn(err error) error {
	if !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Invalid) {
		return err
	}
	return (&fault.Error{Kind: fault.Denied, Reason: "WITHDRAWN", Message: fmt.Sprintf("the service does not give a file of the release: %v", err)}).
		WithAdvice("has the grant ended?")
}

func (f *fetching) stream(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := f.files.ReadBlob(ctx, f.req)
	if err != nil {
		return err
	}
	for {
		resp, err := stream.Recv()
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if f.req.ReadOffset += int64(len(resp.GetData())); f.req.ReadOffset > f.most {
			return fault.Corruptf(f.req.GetRelease(), "the service sent more than the %d bytes of %s", f.most, f.req.GetDigest())
		}
		f.hash.Write(resp.GetData())
		if _, err := f.file.Write(resp.GetData()); err != nil {
			return err
		}
	}
}
