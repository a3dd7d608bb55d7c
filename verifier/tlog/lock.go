package tlog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// inUse is the reason of the fault that Open gives for a log that another process writes.
const inUse = "LOG_IN_USE"

// retryEvery is how long OpenWhenFree waits between two looks at the lock.
const retryEvery = 250 * time.Millisecond

// OpenWhenFree is Open, once the process that writes the log has let go of it. It returns ctx's error when that ends first.
func OpenWhenFree(ctx context.Context, cfg Config) (*Log, error) {
	tick := time.NewTicker(retryEvery)
	defer tick.Stop()
	for {
		l, err := Open(ctx, cfg)
		var f *fault.Error
		if err == nil || !errors.As(err, &f) || f.Reason != inUse {
			return l, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// lock makes this the only open Log on dir, in this process or another. The kernel lets go of it when the process ends.
func lock(dir string) (unlock func() error, err error) {
	state := filepath.Join(dir, ".state")
	if err := os.MkdirAll(state, 0o755); err != nil {
		return nil, fmt.Errorf("log folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(state, "open.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("log folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		busy := fault.Preconditionf(inUse, "", "the log in %s is open elsewhere", dir)
		busy.Err = err
		return nil, errors.Join(busy, f.Close())
	}
	return f.Close, nil
}
