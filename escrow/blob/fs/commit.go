package fs

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/durable"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

// Commit makes the object durable and then visible, unless there is one.
func (d *draft) Commit(ctx context.Context) error {
	return d.publish(ctx, func(from, to string) error {
		return unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	})
}

// Replace makes the object durable and then visible, also where there is one.
func (d *draft) Replace(ctx context.Context) error {
	return d.publish(ctx, func(from, to string) error {
		d.store.keep.Lock()
		defer d.store.keep.Unlock()
		there, err := d.store.there(d.name)
		if err == nil && there {
			err = d.store.setAside(d.name)
		}
		if err != nil {
			return err
		}
		return unix.Rename(from, to)
	})
}

// publish moves the data to its place. The order counts: first the bytes are durable, then the name.
func (d *draft) publish(ctx context.Context, move func(from, to string) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := errors.Join(d.usable(), ctx.Err()); err != nil {
		return err
	}
	if err := d.file.Chmod(objectMode); err != nil {
		return d.fail("commit", err)
	}
	if err := d.file.Sync(); err != nil {
		return d.fail("sync", err)
	}
	path := d.store.objectPath(d.name)
	err := move(d.store.dataPath(d.name), path)
	if errors.Is(err, fs.ErrExist) {
		return d.exists()
	}
	if err == nil {
		err = durable.SyncFolder(filepath.Dir(path))
	}
	if err != nil {
		return d.fail("commit", err)
	}
	d.over, d.saved = true, false
	return remove(d.store.notePath(d.name))
}

// exists drops the draft because its object is there. The process that put it there may have died before its last sync.
func (d *draft) exists() error {
	d.over, d.saved = true, false
	path := d.store.objectPath(d.name)
	if err := errors.Join(durable.SyncFolder(filepath.Dir(path)), d.clear()); err != nil {
		return err
	}
	return fault.AlreadyExists(d.name.String())
}

var _ object.Draft = (*draft)(nil)
