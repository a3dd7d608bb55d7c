package rebuild

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/countersign-escrow/countersign/verifier/rebuild/scratch"
)

// runPrefix starts the names of run folders.
const runPrefix = "run-"

// The folders of a run: build becomes the run's /build, kept holds what is taken out of it.
const (
	buildFolder = "build"
	keptFolder  = "kept"
)

// workspace is the folder of one run.
type workspace struct {
	folder *scratch.Folder
	root   *os.Root
}

func newWorkspace(workDir string) (*workspace, error) {
	f, err := scratch.Make(workDir, runPrefix)
	if err != nil {
		return nil, err
	}
	w := &workspace{folder: f}
	if w.root, err = os.OpenRoot(f.Path); err != nil {
		return nil, errors.Join(err, w.remove())
	}
	for _, d := range []string{buildFolder, keptFolder, "build/source", "build/home", "build/out"} {
		if err := w.root.Mkdir(d, 0o755); err != nil {
			return nil, errors.Join(err, w.remove())
		}
	}
	return w, nil
}

func (w *workspace) remove() error {
	var err error
	if w.root != nil {
		err = w.root.Close()
	}
	return errors.Join(err, w.folder.Remove())
}

// dir returns the folder that becomes /build.
func (w *workspace) dir() string { return filepath.Join(w.folder.Path, buildFolder) }

// unpack fills the source folder and returns the newest time in it: that of the source, where the source has one.
func (w *workspace) unpack(ctx context.Context, mat Materials, sources []manifest.Source) (time.Time, error) {
	begun := time.Now()
	for _, s := range sources {
		into := filepath.Join(buildFolder, "source", s.Into)
		if err := w.root.MkdirAll(into, 0o755); err != nil {
			return time.Time{}, fault.Invalidf("sources", "the folder %q for %q: %v", s.Into, s.Name, err)
		}
		// A source that was unpacked before must not turn the folder of this one into a link to elsewhere.
		if err := w.checkPlain(into); err != nil {
			return time.Time{}, err
		}
		if err := mat.Source(ctx, s, filepath.Join(w.folder.Path, into)); err != nil {
			return time.Time{}, fmt.Errorf("source %q: %w", s.Name, err)
		}
	}
	return newest(w.root, begun)
}

// checkPlain refuses a path of which a part is a link.
func (w *workspace) checkPlain(p string) error {
	for ; p != "."; p = filepath.Dir(p) {
		fi, err := w.root.Lstat(p)
		if err != nil {
			return err
		}
		if !fi.IsDir() {
			return fault.Invalidf("sources", "%s is %s of an earlier source, a later one cannot be unpacked into it", p, kind(fi.Mode()))
		}
	}
	return nil
}

// newest returns the newest modification time of a regular file in the sources, and none if that is not before
// begun: then the files have the time at which they were unpacked, and say nothing.
func newest(root *os.Root, begun time.Time) (time.Time, error) {
	var at time.Time
	err := fs.WalkDir(root.FS(), buildFolder+"/source", func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		fi, err := d.Info()
		if err == nil && fi.ModTime().After(at) {
			at = fi.ModTime()
		}
		return err
	})
	if err != nil || !at.Before(begun.Add(-time.Second)) {
		return time.Time{}, err
	}
	return at, nil
}

// collect takes the outputs out of a workspace in which nothing runs any more. Links are never followed out of it.
func (w *workspace) collect(outputs []Output) ([]finding.OutputEvidence, error) {
	var found []finding.OutputEvidence
	for i, o := range outputs {
		e, err := w.collectOne(i, o)
		if err != nil {
			return nil, fmt.Errorf("output %s: %w", o.Path, err)
		}
		found = append(found, e)
	}
	return found, nil
}

func (w *workspace) collectOne(i int, o Output) (finding.OutputEvidence, error) {
	e := finding.OutputEvidence{Artifact: o.Artifact}
	fi, err := w.inBuild(o)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Problem = fmt.Sprintf("nothing is at %s", o.Path)
		return e, nil
	case err != nil && !ourFailure(err):
		e.Problem = fmt.Sprintf("%s cannot be reached: %v", o.Path, err)
		return e, nil
	case err != nil:
		return e, err
	case !fi.Mode().IsRegular():
		e.Problem = fmt.Sprintf("%s is %s, not a regular file", o.Path, kind(fi.Mode()))
		return e, nil
	}
	if err := w.root.Link(filepath.Join(buildFolder, workspaceName(o.Path)), keptName(i)); err != nil {
		return e, err
	}
	f, err := w.open(i)
	if err != nil {
		return e, err
	}
	defer f.Close()
	e.Digest, e.Size, err = digest.FromReader(f)
	return e, err
}

// inBuild looks at an output without following links out of the build's folder, or the last link at all.
func (w *workspace) inBuild(o Output) (fs.FileInfo, error) {
	build, err := w.root.OpenRoot(buildFolder)
	if err != nil {
		return nil, err
	}
	defer build.Close()
	return build.Lstat(workspaceName(o.Path))
}

// outputSize returns the bytes of all outputs together, without reading them.
func (w *workspace) outputSize(outputs []Output) int64 {
	var sum int64
	for _, o := range outputs {
		if fi, err := w.inBuild(o); err == nil && fi.Mode().IsRegular() {
			sum += fi.Size()
		}
	}
	return sum
}

// open opens the i-th output that was collected.
func (w *workspace) open(i int) (*os.File, error) { return w.root.Open(keptName(i)) }

// clear removes the build's folder; what was collected stays.
func (w *workspace) clear() error { return scratch.RemoveAll(w.dir()) }

func keptName(i int) string { return fmt.Sprintf("%s/%d", keptFolder, i) }

// ourFailure says whether an error means that this machine cannot look, rather than what the build left.
func ourFailure(err error) bool {
	for _, ours := range []error{syscall.EIO, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM} {
		if errors.Is(err, ours) {
			return true
		}
	}
	return false
}

func kind(m os.FileMode) string {
	switch {
	case m&os.ModeSymlink != 0:
		return "a symbolic link"
	case m.IsDir():
		return "a folder"
	case m&os.ModeNamedPipe != 0:
		return "a named pipe"
	case m&os.ModeSocket != 0:
		return "a socket"
	default:
		return "a device"
	}
}
