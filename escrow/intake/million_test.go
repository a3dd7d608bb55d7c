package intake

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"time"
)

// million is a tar archive of very many empty files that nobody has to store: its blocks are made when they are read.
type million struct {
	header []byte // of one file
	files  int64
}

func newMillion(t *testing.T, files int64) *million {
	return &million{header: packTar(t, []file{{name: fmt.Sprintf(millionName, 0, 0), mode: Regular}})[:tarBlock], files: files}
}

const millionName = "Folder-%04d/File-%06d.c"

func (m *million) size() int64 { return (m.files + 2) * tarBlock }

func (m *million) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) && off < m.size() {
		b := m.block(off / tarBlock)
		k := copy(p[n:], b[off%tarBlock:])
		n, off = n+k, off+int64(k)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (m *million) block(i int64) []byte {
	b := make([]byte, tarBlock)
	if i >= m.files {
		return b
	}
	copy(b, m.header)
	copy(b, fmt.Sprintf(millionName, i/1000, i))
	copy(b[148:], "        ")
	sum := 0
	for _, c := range b {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

// peak samples the heap while do runs and returns the most that it took beyond what other tests have left, in MiB. Garbage is
// collected early, so that it is what is needed that counts.
func peak(do func()) uint64 {
	defer debug.SetGCPercent(debug.SetGCPercent(20))
	debug.FreeOSMemory()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	most := before.HeapInuse
	done, all := make(chan struct{}), sync.WaitGroup{}
	all.Go(func() {
		var m runtime.MemStats
		for {
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapInuse)
			select {
			case <-done:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
	do()
	close(done)
	all.Wait()
	return (most - before.HeapInuse) >> 20
}

func TestAMillionEmptyFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	const folders, mostMiB = 1000, 512
	files := int64(1_000_000 - folders)
	if raceEnabled {
		files /= 10 // the race detector makes it slow, and keeps what it watches: only the answer counts then
	}
	m := newMillion(t, files)
	tree, err := OpenArchive(m, m.size(), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	var id Identity
	mib := peak(func() { id, err = Identify(context.Background(), tree) })
	t.Logf("%d files: %v, at most %d MiB on the heap", files, time.Since(start).Round(time.Millisecond), mib)
	if err != nil || id.Files != files || mib > mostMiB && !raceEnabled {
		t.Errorf("%d files in %d MiB, %v", id.Files, mib, err)
	}
}
