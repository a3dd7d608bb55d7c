package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"

	"github.com/minio/minio-go/v7"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
)

// How an object is cut into parts. S3 takes 10,000 parts of at most 5 GiB, and 5 TiB in all.
const (
	maxParts       = 10_000
	firstPartBytes = 16 << 20
	doubleEvery    = 1250 // parts: 16 MiB each up to 20 GiB, then 32 MiB up to 60 GiB, …, 2 GiB at the end, 4.8 TiB in all
	maxObjectBytes = doubleEvery * firstPartBytes * (1<<(maxParts/doubleEvery) - 1)
	maxPartBytes   = firstPartBytes << ((maxParts - 1) / doubleEvery)
	// shortest says at which share of its size a part is ended by a checkpoint. A third of 16 MiB is more than the 5 MiB that S3 wants.
	shortest = 3
	// inFlight is how many parts of one draft are on their way while the next is filled.
	inFlight = 2

	maxSidecarBytes = int64(len(sidecarMagic)) + 4 + maxRecordBytes + maxPartBytes/shortest + sha256.Size
)

const checksumHeader = "x-amz-checksum-sha256"

// partBytes is the size of the part of a number, from 1.
func partBytes(number int) int { return firstPartBytes << ((number - 1) / doubleEvery) }

func checksum(b []byte) string {
	sum := sha256.Sum256(b)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// parts uploads the parts of one object beside one another. Its methods are for the draft's goroutine.
type parts struct {
	store  *Store
	name   object.Name
	upload string

	ctx    context.Context // of the whole draft: parts go on while nobody waits for them
	room   chan struct{}   // one element for each part on its way
	free   chan []byte     // buffers to be used again
	flying sync.WaitGroup

	mu   sync.Mutex
	done []part
	err  error // the first
}

func newParts(ctx context.Context, s *Store, name object.Name, r record) *parts {
	return &parts{store: s, name: name, upload: r.Upload, done: append([]part(nil), r.Parts...), ctx: ctx,
		room: make(chan struct{}, inFlight), free: make(chan []byte, inFlight+1)}
}

// next is the number of the next part.
func (p *parts) next() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.done) + 1
}

// send uploads a part in the background, and waits only while too many are on their way. The buffer belongs to it from now on.
func (p *parts) send(b []byte) error {
	p.room <- struct{}{}
	if err := p.failed(); err != nil {
		<-p.room
		return err
	}
	p.mu.Lock()
	p.done = append(p.done, part{Size: int64(len(b))})
	number := len(p.done)
	p.mu.Unlock()
	p.flying.Go(func() {
		defer func() { <-p.room }()
		sent, err := p.put(number, b)
		p.landed(number, sent, err)
		select {
		case p.free <- b[:0]:
		default:
		}
	})
	return nil
}

func (p *parts) landed(number int, sent part, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done[number-1] = sent
	if err != nil && p.err == nil {
		p.err = err
	}
}

func (p *parts) put(number int, b []byte) (part, error) {
	ctx, cancel := boundedFor(p.ctx, int64(len(b)))
	defer cancel()
	sum := sha256.Sum256(b)
	header := http.Header{}
	header.Set(checksumHeader, base64.StdEncoding.EncodeToString(sum[:]))
	key := p.store.objectKey(p.name)
	sent, err := p.store.core.PutObjectPart(ctx, p.store.bucket, key, p.upload, number, bytes.NewReader(b), int64(len(b)),
		minio.PutObjectPartOptions{DisableContentSha256: true, CustomHeader: header})
	if hasCode(err, "NoSuchUpload") {
		return part{}, spoilt(p.name)
	}
	return part{Size: int64(len(b)), ETag: sent.ETag, SHA256: sum[:]}, p.store.fail("upload a part of", key, err)
}

func (p *parts) failed() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// wait returns when no part is on its way any more.
func (p *parts) wait() error {
	p.flying.Wait()
	return p.failed()
}

// buffer returns an empty buffer for the next part.
func (p *parts) buffer() []byte {
	n := partBytes(p.next())
	select {
	case b := <-p.free:
		if cap(b) >= n {
			return b
		}
	default:
	}
	return make([]byte, 0, n)
}

// list is what the server is told to put together, and the SHA-256 over the parts' checksums that it must come to.
func (p *parts) list() (list []minio.CompletePart, composite string) {
	all := sha256.New()
	for i, d := range p.done {
		all.Write(d.SHA256)
		list = append(list, minio.CompletePart{PartNumber: i + 1, ETag: d.ETag, ChecksumSHA256: base64.StdEncoding.EncodeToString(d.SHA256)})
	}
	return list, base64.StdEncoding.EncodeToString(all.Sum(nil))
}

func unquoted(etag string) string { return strings.Trim(etag, `"`) }
