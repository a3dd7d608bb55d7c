package releasefile

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/intake"
	"github.com/countersign-escrow/countersign/escrow/manifest"
)

// fileEntry is a file here, or the digest and size of one that the service holds already.
type fileEntry struct {
	path   string
	digest string
	size   int64
}

// UnmarshalYAML reads a path or a mapping.
func (e *fileEntry) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return n.Decode(&e.path)
	}
	var held struct {
		Digest string `yaml:"digest"`
		Size   int64  `yaml:"size"`
	}
	err := n.Decode(&held)
	e.digest, e.size = held.Digest, held.Size
	return err
}

// lfsEntry is a folder in which git keeps Git LFS objects, or a list of objects.
type lfsEntry struct {
	folder  string
	objects []fileEntry
}

// UnmarshalYAML reads a path or a list.
func (e *lfsEntry) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return n.Decode(&e.folder)
	}
	return n.Decode(&e.objects)
}

func (p *preparation) sources(m *manifest.Manifest) {
	for i, s := range p.doc.Sources {
		m.Sources = append(m.Sources, p.source(index("sources", i), s))
	}
}

func (p *preparation) source(at string, s sourceEntry) manifest.Source {
	out := manifest.Source{Kind: manifest.Archive, Name: s.Archive, Tag: s.Tag, Into: s.Into, CaseSensitive: s.CaseSensitive}
	field := join(at, "archive")
	if s.GitBundle != "" {
		out.Kind, out.Name, field = manifest.GitBundle, s.GitBundle, join(at, "git-bundle")
	}
	if out.Into == "." {
		out.Into = ""
	}
	local := p.hash(field, out.Name)
	out.Name, out.Digest, out.Size = filepath.Base(out.Name), local.Digest, local.Size
	out.Bases = p.files(join(at, "bases"), s.Bases)
	out.LFS = p.files(join(at, "lfs"), s.LFS.objects)
	if s.LFS.folder != "" && p.problems.Empty() {
		out.LFS = p.lfs(at, field, s.LFS.folder, out)
	}
	return out
}

func (p *preparation) files(field string, entries []fileEntry) []manifest.File {
	var list []manifest.File
	for i, e := range entries {
		at := index(field, i)
		if e.path != "" {
			local := p.hash(at, e.path)
			list = append(list, manifest.File{Digest: local.Digest, Size: local.Size})
			continue
		}
		d, err := digest.Parse(e.digest)
		if err != nil {
			p.problem(join(at, "digest"), "%v", err)
		}
		list = append(list, manifest.File{Digest: d, Size: e.size})
	}
	return list
}

// lfs finds the objects that the source has pointers to in a folder of git's. The source is read to its end for that.
func (p *preparation) lfs(at, field, folder string, s manifest.Source) []manifest.File {
	scratch, err := os.MkdirTemp("", "escrowctl-source-*")
	if err != nil {
		p.problem(field, "%v", err)
		return nil
	}
	defer os.RemoveAll(scratch)
	r := &intake.Release{Files: localFiles(p.deposit.Files), Scratch: scratch, Limits: intake.DefaultLimits()}
	needs, err := r.Needs(p.ctx, s)
	switch {
	case fault.Is(err, fault.NotFound):
		p.problem(join(at, "lfs"), "to find the objects in a folder, every base must be a file here; list the objects instead")
	case err != nil:
		p.problem(field, "%v", err)
	}
	objects := LFSObjects(p.resolve(folder))
	for _, need := range needs.LFS {
		p.object(join(at, "lfs"), objects, need)
	}
	return needs.LFS
}

// object notes the file of a Git LFS object for the deposit.
func (p *preparation) object(field, objects string, need manifest.File) {
	name := LFSObject(objects, need.Digest)
	if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
		p.problem(field, "%s: does not hold %s; get it with: git lfs fetch", objects, need.Digest)
		return
	}
	if local := p.hash(field, name); local.Digest != need.Digest && p.ctx.Err() == nil {
		p.problem(field, "%s: is damaged; get it again with: git lfs fetch", name)
	}
}

// LFSObjects returns the folder of Git LFS objects of a repository, bare or not. Anything else is taken for such a folder.
func LFSObjects(dir string) string {
	for _, below := range []string{".git/lfs/objects", "lfs/objects", "objects"} {
		if info, err := os.Stat(filepath.Join(dir, below)); err == nil && info.IsDir() {
			return filepath.Join(dir, below)
		}
	}
	return dir
}

// LFSObject returns where an object lies in a folder of Git LFS objects.
func LFSObject(objects string, d digest.Digest) string {
	h := d.Hex()
	return filepath.Join(objects, h[:2], h[2:4], h)
}

// localFiles gives files here by their digests.
type localFiles []LocalFile

// OpenFile opens the file with that digest.
func (l localFiles) OpenFile(_ context.Context, f manifest.File) (intake.File, error) {
	for _, local := range l {
		if local.Digest == f.Digest {
			return os.Open(local.Path)
		}
	}
	return nil, fault.NoSuch(f.Digest.String())
}
