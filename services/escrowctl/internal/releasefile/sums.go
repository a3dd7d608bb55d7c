package releasefile

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"sync"

	"github.com/countersign-escrow/countersign/escrow/digest"
)

var errNotRegular = errors.New("not a regular file")

// sums are the digests of files, which are read as many at a time as there are processors, and each once.
type sums struct {
	ctx   context.Context
	slots chan struct{}

	mu    sync.Mutex
	begun map[string]*sum
}

type sum struct {
	done   chan struct{}
	digest digest.Digest
	size   int64
	err    error
}

func newSums(ctx context.Context) *sums {
	return &sums{ctx: ctx, slots: make(chan struct{}, runtime.GOMAXPROCS(0)), begun: map[string]*sum{}}
}

// begin begins to read a file, whose digest will be asked for later.
func (s *sums) begin(path string) *sum {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun[path] == nil {
		one := &sum{done: make(chan struct{})}
		s.begun[path] = one
		go func() {
			defer close(one.done)
			s.slots <- struct{}{}
			defer func() { <-s.slots }()
			one.digest, one.size, one.err = hashFile(s.ctx, path)
		}()
	}
	return s.begun[path]
}

// of returns the digest and the size of a file.
func (s *sums) of(path string) (digest.Digest, int64, error) {
	one := s.begin(path)
	<-one.done
	return one.digest, one.size, one.err
}

func hashFile(ctx context.Context, name string) (digest.Digest, int64, error) {
	info, err := os.Stat(name)
	if err != nil {
		return digest.Digest{}, 0, err
	}
	if !info.Mode().IsRegular() { // before opening: a pipe would wait for ever
		return digest.Digest{}, 0, errNotRegular
	}
	file, err := os.Open(name)
	if err != nil {
		return digest.Digest{}, 0, err
	}
	defer file.Close()
	return digest.FromReader(untilDone{ctx, file})
}

// untilDone ends a read when its context ends.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u untilDone) Read(b []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(b)
}

// ahead begins with the files that the release file names, so that they are read side by side.
func (p *preparation) ahead() {
	var names []string
	for _, s := range p.doc.Sources {
		names = append(names, s.Archive, s.GitBundle)
		for _, e := range append(append([]fileEntry(nil), s.Bases...), s.LFS.objects...) {
			names = append(names, e.path)
		}
	}
	for _, a := range p.doc.Artifacts {
		names = append(names, a.Path)
	}
	for _, name := range names {
		if name != "" {
			p.sums.begin(p.resolve(name))
		}
	}
}
