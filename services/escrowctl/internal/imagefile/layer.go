package imagefile

import (
	"archive/tar"
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// writeLayer writes a folder, or a single file, and the folders above its place as a tar.
func (b *builder) writeLayer(w io.Writer, f Folder) error {
	if !path.IsAbs(f.Dest) {
		return fmt.Errorf("%s: the place in the image must be absolute", f.Dest)
	}
	buffered := bufio.NewWriterSize(w, 1<<20)
	tw := tar.NewWriter(buffered)
	dest := path.Clean(f.Dest)
	if err := writeParents(tw, dest); err != nil {
		return err
	}
	source, err := filepath.EvalSymlinks(f.Source)
	if err != nil {
		return err
	}
	err = filepath.WalkDir(source, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := b.ctx.Err(); err != nil {
			return err
		}
		relative, err := filepath.Rel(source, name)
		if err != nil {
			return err
		}
		return b.writeEntry(tw, name, path.Join(dest, filepath.ToSlash(relative)), entry)
	})
	if err != nil {
		return err
	}
	if err := tw.Close(); err != nil {
		return err
	}
	return buffered.Flush()
}

func writeParents(tw *tar.Writer, dest string) error {
	parts := strings.Split(strings.Trim(path.Dir(dest), "/"), "/")
	for i := range parts {
		if parts[i] == "" {
			continue
		}
		if err := tw.WriteHeader(fixed(tar.TypeDir, strings.Join(parts[:i+1], "/")+"/", 0o755)); err != nil {
			return err
		}
	}
	return nil
}

func fixed(kind byte, name string, mode int64) *tar.Header {
	return &tar.Header{Typeflag: kind, Name: name, Mode: mode, ModTime: time.Unix(0, 0)}
}

// writeEntry writes what stands at name here as the absolute path at in the image.
func (b *builder) writeEntry(tw *tar.Writer, name, at string, entry fs.DirEntry) error {
	inside := strings.TrimPrefix(at, "/")
	switch entry.Type() {
	case fs.ModeDir:
		if inside == "" {
			return nil
		}
		return tw.WriteHeader(fixed(tar.TypeDir, inside+"/", 0o755))
	case fs.ModeSymlink:
		target, err := os.Readlink(name)
		if err != nil {
			return err
		}
		h := fixed(tar.TypeSymlink, inside, 0o777)
		h.Linkname = target
		return tw.WriteHeader(h)
	case 0:
		return b.writeFile(tw, name, at)
	default:
		return fmt.Errorf("%s: is neither a file nor a folder nor a symbolic link", name)
	}
}

func (b *builder) writeFile(tw *tar.Writer, name, at string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	mode := int64(0o644)
	if info.Mode()&0o111 != 0 || b.executable.match(at) {
		mode = 0o755
	}
	h := fixed(tar.TypeReg, strings.TrimPrefix(at, "/"), mode)
	h.Size = info.Size()
	if err := tw.WriteHeader(h); err != nil {
		return err
	}
	if _, err := io.Copy(tw, file); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// globs are patterns over absolute paths: * is any part of a name, ** any number of folders, ? one letter.
type globs []*regexp.Regexp

func compileGlobs(patterns []string) (globs, error) {
	var all globs
	for _, p := range patterns {
		if !strings.HasPrefix(p, "/") && !strings.HasPrefix(p, "**") {
			return nil, fmt.Errorf("pattern %q: must be an absolute path in the image, or start with **", p)
		}
		re := regexp.QuoteMeta(p)
		for _, r := range [][2]string{{`\*\*/`, "\x00"}, {`\*\*`, `.*`}, {`\*`, `[^/]*`}, {`\?`, `[^/]`}, {"\x00", `(?:.*/)?`}} {
			re = strings.ReplaceAll(re, r[0], r[1])
		}
		compiled, err := regexp.Compile("^" + re + "$")
		if err != nil {
			return nil, fmt.Errorf("pattern %q: %w", p, err)
		}
		all = append(all, compiled)
	}
	return all, nil
}

func (g globs) match(p string) bool {
	for _, re := range g {
		if re.MatchString(p) {
			return true
		}
	}
	return false
}
