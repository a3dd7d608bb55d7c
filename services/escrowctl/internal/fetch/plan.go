package fetch

import (
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/manifest"
)

// Where the parts of a release go.
const (
	SourcesFolder     = "sources"     // as deposited, with bases/ and lfs/ for what completes them
	ArtifactsFolder   = "artifacts"   // each under its path in the manifest
	EnvironmentFolder = "environment" // an OCI image layout
	GitFolder         = "git"         // a repository for each bundle
	TreeFolder        = "source"      // the sources unpacked, as the recipe finds them
)

// Sources plans the sources of a release: the files, and for each source of the manifest the path of its own file.
func Sources(m *manifest.Manifest) (files []File, paths []string) {
	names := newNames()
	there := map[digest.Digest]bool{}
	for i, s := range m.Sources {
		p := path.Join(SourcesFolder, names.take(s.Name, i))
		files = append(files, File{Path: p, Digest: s.Digest, Size: s.Size})
		paths = append(paths, p)
		for _, f := range s.Bases {
			files = addOnce(files, there, File{Path: BasePath(f.Digest), Digest: f.Digest, Size: f.Size})
		}
		for _, f := range s.LFS {
			files = addOnce(files, there, File{Path: LFSPath(f.Digest), Digest: f.Digest, Size: f.Size})
		}
	}
	return files, paths
}

// addOnce adds a file that is named by its digest, where several sources may use the same one. A base and a Git LFS object of
// the same bytes have different paths.
func addOnce(files []File, there map[digest.Digest]bool, f File) []File {
	key := digest.Of([]byte(f.Path))
	if there[key] {
		return files
	}
	there[key] = true
	return append(files, f)
}

// BasePath is where an earlier bundle goes that a source builds on.
func BasePath(d digest.Digest) string { return path.Join(SourcesFolder, "bases", d.Hex()) }

// LFSPath is where a Git LFS object goes.
func LFSPath(d digest.Digest) string { return path.Join(SourcesFolder, "lfs", d.Hex()) }

// Artifacts plans the shipped files.
func Artifacts(m *manifest.Manifest) ([]File, error) {
	files := make([]File, len(m.Artifacts))
	for i, a := range m.Artifacts {
		files[i] = File{Path: path.Join(ArtifactsFolder, a.Path), Digest: a.Digest, Size: a.Size}
	}
	return files, Distinct(files)
}

// Distinct refuses files of which one would be in the way of another, also on a disk that does not tell capitals apart. The
// names are the vendor's.
func Distinct(files []File) error {
	taken := make(map[string]string, len(files))
	for _, f := range files {
		if other, ok := taken[strings.ToLower(f.Path)]; ok {
			return fault.Invalidf(f.Path, "has the name of another file of the release, %q, but for capitals", other).
				WithAdvice("fetch the parts of the release one by one: --only")
		}
		taken[strings.ToLower(f.Path)] = f.Path
	}
	for _, f := range files {
		for dir := path.Dir(f.Path); dir != "."; dir = path.Dir(dir) {
			if other, ok := taken[strings.ToLower(dir)]; ok {
				return fault.Invalidf(f.Path, "lies in a folder that has the name of another file of the release, %q", other)
			}
		}
	}
	return nil
}

// names hands out names of files that are safe and that differ.
type names struct{ taken map[string]bool }

func newNames() *names { return &names{taken: map[string]bool{"bases": true, "lfs": true}} }

// take makes a name out of what the vendor calls the source i.
func (n *names) take(wish string, i int) string {
	name := safe(wish)
	if n.taken[strings.ToLower(name)] {
		name = fmt.Sprintf("%d-%s", i+1, name)
	}
	for n.taken[strings.ToLower(name)] { // another source may be called like that
		name = "_" + name
	}
	n.taken[strings.ToLower(name)] = true
	return name
}

// safe makes a name of one file out of any string: visible, short, and no hidden file, path or option.
func safe(wish string) string {
	const most = 120 // bytes; a number and a suffix are added to it
	wish = wish[strings.LastIndexAny(wish, `/\`)+1:]
	name := strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) || strings.ContainsRune(`<>:"|?*`, r) {
			return '_'
		}
		return r
	}, wish)
	name = strings.TrimRight(strings.TrimLeft(name, "-. "), ". ")
	for len(name) > most {
		_, size := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-size]
	}
	if name == "" {
		return "source"
	}
	return name
}
