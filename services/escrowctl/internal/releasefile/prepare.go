package releasefile

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/imagefile"
	"github.com/countersign-escrow/countersign/services/internal/problem"
)

// Deposit is a release ready to be signed or sent.
type Deposit struct {
	Release  resource.Release
	Manifest *manifest.Manifest
	Bytes    []byte        // the manifest exactly as it is signed
	Digest   digest.Digest // of Bytes
	Files    []LocalFile   // of sources, then artifacts
	Image    *imagefile.Image
}

// LocalFile is a file here that belongs to the release.
type LocalFile struct {
	Path   string
	Digest digest.Digest
	Size   int64
}

// Close lets go of the environment's image.
func (d *Deposit) Close() {
	if d.Image != nil {
		d.Image.Close()
	}
}

// Prepare reads every file that the release names and makes the manifest. What is wrong with them comes back as Problems.
func (f *File) Prepare(ctx context.Context) (*Deposit, error) {
	c := &problem.Collector{File: f.path, OneForPlace: true}
	p := &preparation{File: f, ctx: ctx, problems: c, deposit: new(Deposit), sums: newSums(ctx)}
	release, err := f.Release()
	if err != nil {
		return nil, err
	}
	m := &manifest.Manifest{Schema: manifest.Schema, Product: release.Product.String(), Version: release.Version, Recipe: f.recipe()}
	p.ahead()
	m.Environment.Image = p.environment()
	p.sources(m)
	p.artifacts(m)
	if c.Empty() {
		p.check(m)
	}
	if err := errors.Join(ctx.Err(), c.Err()); err != nil {
		p.deposit.Close()
		return nil, err
	}
	p.deposit.Release, p.deposit.Manifest = release, m
	if p.deposit.Bytes, err = m.Marshal(); err != nil {
		return nil, err
	}
	p.deposit.Digest = digest.Of(p.deposit.Bytes)
	return p.deposit, nil
}

type preparation struct {
	*File
	ctx      context.Context
	problems *problem.Collector
	deposit  *Deposit
	sums     *sums
}

func (p *preparation) problem(field, format string, args ...any) {
	p.problems.Add(p.tree.line(field), field, format, args...)
}

func (f *File) recipe() manifest.Recipe {
	r := f.doc.Recipe
	dir := r.Dir
	if dir == "." {
		dir = ""
	}
	return manifest.Recipe{Argv: r.Argv, Env: r.Env, Dir: dir, Limits: f.limits}
}

func (p *preparation) environment() digest.Digest {
	image := p.doc.Environment.Image
	if strings.HasPrefix(image, digest.Prefix) {
		d, err := digest.Parse(image)
		if err != nil {
			p.problem("environment.image", "%v", err)
		}
		return d
	}
	platform := p.doc.Artifacts[0].Platform
	opened, err := imagefile.Open(p.resolve(image), platform)
	if err != nil {
		p.problem("environment.image", "%s: %v", image, err)
		return digest.Digest{}
	}
	p.deposit.Image = opened
	return opened.Digest
}

func (p *preparation) artifacts(m *manifest.Manifest) {
	for i, a := range p.doc.Artifacts {
		local := p.hash(join(index("artifacts", i), "path"), a.Path)
		name := a.Name
		if name == "" {
			name = path.Clean(filepath.ToSlash(a.Path))
		}
		m.Artifacts = append(m.Artifacts, manifest.Artifact{Path: name, Digest: local.Digest, Size: local.Size, Rebuilt: a.Rebuilt, Platform: a.Platform})
	}
}

// hash reads a file that the release names and notes it for the deposit.
func (p *preparation) hash(field, name string) LocalFile {
	local := LocalFile{Path: p.resolve(name)}
	if p.ctx.Err() != nil {
		return local
	}
	var err error
	local.Digest, local.Size, err = p.sums.of(local.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.problem(field, "%s: no such file", name)
	case errors.Is(err, errNotRegular):
		p.problem(field, "%s: is not a regular file", name)
	case err != nil:
		p.problem(field, "%s: %v", name, err)
	default:
		p.deposit.Files = append(p.deposit.Files, local)
	}
	return local
}

// check asks the manifest itself, and blames the field of the release file from which the wrong one came.
func (p *preparation) check(m *manifest.Manifest) {
	err := m.Check()
	var wrong *fault.Error
	if !errors.As(err, &wrong) {
		if err != nil {
			p.problem("", "%v", err)
		}
		return
	}
	field := wrong.Field
	if strings.HasPrefix(field, "artifacts[") && strings.HasSuffix(field, ".path") {
		if named := strings.TrimSuffix(field, "path") + "name"; p.tree.lines[named] != 0 {
			field = named
		} else {
			p.problem(field, "%s; give it a name: of its own", wrong.Message)
			return
		}
	}
	p.problem(field, "%s", wrong.Message)
}
