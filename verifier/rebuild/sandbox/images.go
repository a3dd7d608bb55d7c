package sandbox

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/verifier/rebuild/image"
	"github.com/countersign-escrow/countersign/verifier/rebuild/scratch"
)

const unpackPrefix = "unpack-"

// images keeps unpacked images, one folder per digest. A folder with a digest's name is whole and on disk.
type images struct {
	dir  string
	turn chan struct{} // one unpacking at a time
}

func newImages(dir string) (*images, error) {
	if err := scratch.Sweep(dir, unpackPrefix, nil); err != nil {
		return nil, err
	}
	return &images{dir: dir, turn: make(chan struct{}, 1)}, nil
}

// folder returns the folder of an image, which it unpacks where that has not been done before.
func (i *images) folder(ctx context.Context, d digest.Digest, blobs image.Blobs) (string, error) {
	select {
	case i.turn <- struct{}{}:
		defer func() { <-i.turn }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	dir := filepath.Join(i.dir, d.Hex())
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	im, err := image.Open(ctx, blobs, d)
	if err != nil {
		return "", err
	}
	temp, err := scratch.Make(i.dir, unpackPrefix)
	if err != nil {
		return "", err
	}
	return dir, errors.Join(i.unpack(ctx, im, temp.Path, dir), temp.Remove())
}

// unpack works in a folder of its own and gives it its name at the end. Another process may have been quicker.
func (i *images) unpack(ctx context.Context, im *image.Image, temp, dir string) error {
	rootfs := filepath.Join(temp, "rootfs")
	if err := os.Mkdir(rootfs, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(rootfs, 0o755); err != nil {
		return err
	}
	if err := im.Unpack(ctx, rootfs, image.DefaultLimits(), mountPoints...); err != nil {
		return err
	}
	// The runtime gives what it mounts the mode of the folder below.
	if err := os.Chmod(filepath.Join(rootfs, "tmp"), 0o777|os.ModeSticky); err != nil {
		return err
	}
	if err := syncTree(rootfs); err != nil {
		return err
	}
	if err := os.Rename(rootfs, dir); err != nil {
		if _, there := os.Stat(dir); there != nil {
			return err
		}
	}
	return syncFolder(i.dir)
}

// syncTree brings the whole file system to disk, which for thousands of new files is quicker than one after the other.
func syncTree(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(d.Fd())), d.Close())
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
