package fetch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/intake"
	"github.com/countersign-escrow/countersign/escrow/manifest"
)

// here gives the fetched files of a release by their digests.
type here struct {
	folder *os.Root
	paths  map[digest.Digest]string
}

// OpenFile opens a file that was fetched.
func (h here) OpenFile(_ context.Context, f manifest.File) (intake.File, error) {
	p, ok := h.paths[f.Digest]
	if !ok {
		return nil, fault.NoSuch(f.Digest.String())
	}
	return h.folder.Open(p)
}

// Tree unpacks fetched sources, within the limits that the service has, into one folder as the recipe finds them. Where that
// folder is there already it is left as it is, and false is returned.
func Tree(ctx context.Context, folder *os.Root, m *manifest.Manifest, files []File, lim intake.Limits) (bool, error) {
	return whole(folder, TreeFolder, func(partial string) (err error) {
		scratch := partial + ".scratch"
		if err := fresh(folder, scratch); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, folder.RemoveAll(scratch)) }()
		h := here{folder: folder, paths: make(map[digest.Digest]string, len(files))}
		for _, f := range files {
			h.paths[f.Digest] = f.Path
		}
		r := &intake.Release{Sources: m.Sources, Files: h, Scratch: filepath.Join(folder.Name(), scratch), Limits: lim}
		for _, s := range m.Sources {
			if err := unpack(ctx, folder, r, s, path.Join(partial, s.Into)); err != nil {
				return fmt.Errorf("source %q: %w", s.Name, err)
			}
		}
		return nil
	})
}

func unpack(ctx context.Context, folder *os.Root, r *intake.Release, s manifest.Source, into string) error {
	if dir, err := enter(folder, into+"/"); err != nil { // an earlier source may have put a link in the way
		return err
	} else if err := dir.Close(); err != nil {
		return err
	}
	tree, err := r.Open(ctx, s)
	if err != nil {
		return err
	}
	return errors.Join(intake.Unpack(ctx, tree, filepath.Join(folder.Name(), filepath.FromSlash(into))), tree.Close())
}

// whole makes a folder under another name and renames it when it is complete, so that one under its own name is complete.
// False means that it was there already.
func whole(folder *os.Root, name string, make func(partial string) error) (bool, error) {
	info, err := folder.Lstat(name)
	switch {
	case err == nil && info.IsDir():
		return false, nil
	case err == nil:
		return false, inTheWay(name, "is there and is no folder")
	case !errors.Is(err, fs.ErrNotExist):
		return false, err
	}
	partial := name + partialSuffix
	if err := fresh(folder, partial); err != nil {
		return false, err
	}
	if err := make(partial); err != nil {
		return false, err
	}
	return true, settle(folder, partial, name)
}

// fresh makes an empty folder in place of what an earlier run has left.
func fresh(folder *os.Root, name string) error {
	if err := folder.RemoveAll(name); err != nil {
		return err
	}
	return folder.MkdirAll(name, folderMode)
}
