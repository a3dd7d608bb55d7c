package tlog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

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
		busy := fault.Preconditionf("LOG_IN_USE", "", "the log in %s is open elsewhere", dir)
		busy.Err = err
		return nil, errors.Join(busy, f.Close())
	}
	return f.Close, nil
}
