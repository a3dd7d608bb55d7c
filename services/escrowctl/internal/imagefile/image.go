// Package imagefile reads toolchain images that lie on disk as OCI layout folders or as OCI or docker archives, and builds
// reproducible ones from folders. It knows nothing of where an image is sent or run.
package imagefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/countersign-escrow/countersign/escrow/digest"
)

// Content is an opened blob.
type Content interface {
	io.ReaderAt
	io.Closer
}

// Blob is one blob of an image.
type Blob struct {
	Digest digest.Digest
	Size   int64
	Kind   string // manifest, configuration or layer, for people
	Open   func() (Content, error)
}

// Image is an image with all its blobs, the manifest first. Layers are taken by size; whoever reads them checks their digests.
type Image struct {
	Digest   digest.Digest // of the image manifest
	Platform string        // such as linux/amd64
	Blobs    []Blob
	store    store
}

// Close lets go of the files beneath. Blobs that were opened before stay readable until they are closed themselves.
func (i *Image) Close() { i.store.close() }

// ErrNoImage says that a file or folder holds no image in a form that is known.
var ErrNoImage = errors.New("is neither an OCI layout folder nor an OCI or docker image archive")

// Open reads the image at path. Of an index for several platforms it takes the one for platform.
func Open(path, platform string) (*Image, error) {
	info, err := os.Stat(path)
	if err != nil {
		var pathError *fs.PathError
		if errors.As(err, &pathError) {
			return nil, pathError.Err // the caller names the path
		}
		return nil, err
	}
	var s store
	if info.IsDir() {
		s = folderStore{dir: path}
	} else if s, err = openArchive(path); err != nil {
		return nil, err
	}
	image, err := open(s, platform)
	if err != nil {
		s.close()
		return nil, err
	}
	image.store = s
	return image, nil
}

func open(s store, platform string) (*Image, error) {
	switch {
	case s.has("index.json"):
		return openLayout(s, platform)
	case s.has("manifest.json"):
		return openDocker(s)
	default:
		return nil, ErrNoImage
	}
}

// store gives the named files of a folder or of an archive. Names are slash-separated.
type store interface {
	has(name string) bool
	open(name string) (Content, int64, error)
	close()
}

type folderStore struct{ dir string }

func (f folderStore) has(name string) bool {
	info, err := os.Stat(filepath.Join(f.dir, filepath.FromSlash(name)))
	return err == nil && info.Mode().IsRegular()
}

func (f folderStore) open(name string) (Content, int64, error) {
	if !filepath.IsLocal(filepath.FromSlash(name)) { // names come from the image's own documents
		return nil, 0, fmt.Errorf("names a file outside of itself: %q", name)
	}
	file, err := os.Open(filepath.Join(f.dir, filepath.FromSlash(name)))
	if err != nil {
		return nil, 0, fmt.Errorf("has no %s", name)
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, 0, err
	}
	return file, info.Size(), nil
}

func (f folderStore) close() {}

// maxDocument bounds the JSON documents of an image.
const maxDocument = 4 << 20

func readDocument(s store, name string) ([]byte, error) {
	content, size, err := s.open(name)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	if size > maxDocument {
		return nil, fmt.Errorf("%s has %d bytes, %d at most", name, size, maxDocument)
	}
	return io.ReadAll(io.NewSectionReader(content, 0, size))
}
