package tlog

import (
	"context"
	"errors"
	"sync"
	"time"

	formats "github.com/transparency-dev/formats/log"
)

// watcher wakes those who wait for the tree to be published up to a size. It reads the checkpoint only while somebody waits.
type watcher struct {
	read  func(context.Context) ([]byte, error)
	every time.Duration

	mu      sync.Mutex
	waiting map[chan struct{}]uint64 // the size that each waits for
	running bool
	stopped chan struct{}
	once    sync.Once
}

var errStopped = errors.New("the log is closed")

func newWatcher(read func(context.Context) ([]byte, error), every time.Duration) *watcher {
	return &watcher{read: read, every: every, waiting: make(map[chan struct{}]uint64), stopped: make(chan struct{})}
}

// stop ends all waiting.
func (w *watcher) stop() { w.once.Do(func() { close(w.stopped) }) }

// until returns when the published tree has at least size entries.
func (w *watcher) until(ctx context.Context, size uint64) error {
	wake := make(chan struct{})
	w.mu.Lock()
	w.waiting[wake] = size
	if !w.running {
		w.running = true
		go w.poll()
	}
	w.mu.Unlock()

	var err error
	select {
	case <-wake:
		return nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-w.stopped:
		err = errStopped
	}
	w.mu.Lock()
	delete(w.waiting, wake)
	w.mu.Unlock()
	return err
}

// poll runs while anybody waits. A checkpoint that cannot be read now is read again: the waiting ends with their contexts.
func (w *watcher) poll() {
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	for w.wake(w.published()) {
		select {
		case <-tick.C:
		case <-w.stopped:
			return
		}
	}
}

func (w *watcher) published() uint64 {
	b, err := w.read(context.Background())
	if err != nil {
		return 0
	}
	var cp formats.Checkpoint
	if _, err := cp.Unmarshal(b); err != nil {
		return 0
	}
	return cp.Size
}

// wake lets those go who have waited for at most size, and says whether others still wait.
func (w *watcher) wake(size uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c, want := range w.waiting {
		if want <= size {
			close(c)
			delete(w.waiting, c)
		}
	}
	w.running = len(w.waiting) > 0
	return w.running
}
