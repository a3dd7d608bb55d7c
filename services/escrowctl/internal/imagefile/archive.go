package imagefile

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// maxEntries bounds the entries of an image archive, which holds blobs and not files.
const maxEntries = 10_000

type span struct {
	offset, size int64
	link         string
}

// archiveStore is a tar file whose entries are read where they lie.
type archiveStore struct {
	path    string
	file    *os.File
	entries map[string]span
}

func openArchive(name string) (store, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	entries, err := indexArchive(file)
	if err != nil {
		file.Close()
		return nil, err
	}
	return &archiveStore{path: name, file: file, entries: entries}, nil
}

var gzipMagic = []byte{0x1f, 0x8b}

func indexArchive(file io.ReadSeeker) (map[string]span, error) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(file, head); err != nil {
		return nil, ErrNoImage
	}
	if bytes.Equal(head, gzipMagic) {
		return nil, errors.New("is compressed with gzip: unpack it first, with gunzip")
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	entries := make(map[string]span)
	for r := tar.NewReader(file); ; {
		header, err := r.Next()
		if err == io.EOF {
			return entries, nil
		} else if err != nil {
			return nil, ErrNoImage
		}
		if len(entries) >= maxEntries {
			return nil, fmt.Errorf("has more than %d entries", maxEntries)
		}
		offset, err := file.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		if err := addEntry(entries, header, offset); err != nil {
			return nil, err
		}
	}
}

func addEntry(entries map[string]span, header *tar.Header, offset int64) error {
	name := path.Clean(header.Name)
	switch header.Typeflag {
	case tar.TypeReg:
		for record := range header.PAXRecords {
			if strings.HasPrefix(record, "GNU.sparse.") {
				return fmt.Errorf("%s is stored as a sparse file, which is not supported", name)
			}
		}
		entries[name] = span{offset: offset, size: header.Size}
	case tar.TypeSymlink, tar.TypeLink: // docker stores a layer that occurs twice like this
		target := header.Linkname
		if header.Typeflag == tar.TypeSymlink {
			target = path.Join(path.Dir(name), target)
		}
		entries[name] = span{link: path.Clean(target)}
	}
	return nil
}

func (a *archiveStore) find(name string) (span, bool) {
	const mostLinks = 8
	name = path.Clean(name)
	for range mostLinks {
		s, ok := a.entries[name]
		if !ok || s.link == "" {
			return s, ok
		}
		name = s.link
	}
	return span{}, false
}

func (a *archiveStore) has(name string) bool {
	_, ok := a.find(name)
	return ok
}

// sectionContent is an entry read through a file of its own, so that it outlives the store.
type sectionContent struct {
	*io.SectionReader
	io.Closer
}

func (a *archiveStore) open(name string) (Content, int64, error) {
	s, ok := a.find(name)
	if !ok {
		return nil, 0, fmt.Errorf("has no %s", name)
	}
	file, err := os.Open(a.path)
	if err != nil {
		return nil, 0, err
	}
	return sectionContent{io.NewSectionReader(file, s.offset, s.size), file}, s.size, nil
}

func (a *archiveStore) close() { a.file.Close() }
