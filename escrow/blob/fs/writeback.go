package fs

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// earlyBytes is how much is written before the disk is told to begin with it.
const earlyBytes = 16 << 20

// writeback has the kernel write data to the disk while more of it arrives, so that the sync at the end is short. It is a
// hint: what is durable is decided by the syncs alone.
type writeback struct {
	file    *os.File
	begun   int64 // up to where the disk was told
	ranges  chan [2]int64
	waiting sync.WaitGroup
}

func newWriteback(f *os.File, offset int64) *writeback {
	return &writeback{file: f, begun: offset}
}

// written says up to where data has been written.
func (w *writeback) written(offset int64) {
	if offset-w.begun < earlyBytes {
		return
	}
	if w.ranges == nil {
		w.ranges = make(chan [2]int64, 1)
		w.waiting.Go(w.run)
	}
	select {
	case w.ranges <- [2]int64{w.begun, offset - w.begun}:
		w.begun = offset
	default: // the disk is behind: more at once next time
	}
}

func (w *writeback) run() {
	for r := range w.ranges {
		_ = unix.SyncFileRange(int(w.file.Fd()), r[0], r[1], unix.SYNC_FILE_RANGE_WRITE)
	}
}

// stop waits until the file is not used any more.
func (w *writeback) stop() {
	if w.ranges != nil {
		close(w.ranges)
		w.waiting.Wait()
	}
}
