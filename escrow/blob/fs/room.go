package fs

import (
	"fmt"
	"syscall"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

const (
	// reserveBytes stay free, or reservePart of the disk where that is less: the catalog and the log may live beside the
	// drafts, and one holder's must not stop them.
	reserveBytes = 1 << 30
	reservePart  = 20
)

// room returns how many bytes more the disk of a folder may take.
func room(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("free room in %s: %w", dir, err)
	}
	total, free := int64(st.Blocks)*int64(st.Bsize), int64(st.Bavail)*int64(st.Bsize)
	return free - min(reserveBytes, total/reservePart), nil
}

// requireRoom refuses to go on where what is still expected would fill the disk. What was saved can be gone on with.
func (d *draft) requireRoom() error {
	left, err := d.store.room(d.store.dir)
	if err != nil {
		return err
	}
	if n := max(d.size-d.offset, 0); n > max(left, 0) || left <= 0 && d.size < 0 {
		return noRoom(n)
	}
	return nil
}

func noRoom(n int64) error {
	full := &fault.Error{Kind: fault.Exhausted, Reason: "NO_ROOM", Field: "size", Message: fmt.Sprintf("there is no room for %d bytes more", n)}
	return full.WithAdvice("tell the operator, and go on when there is room: what has arrived is kept for a week")
}
