package releasefile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/services/internal/problem"
)

// File is a release file that is well-formed. The files that it names are looked at by Prepare.
type File struct {
	path   string // as the user gave it, for messages
	dir    string // what its paths are relative to
	tree   *tree
	doc    document
	limits manifest.Limits
}

type document struct {
	Product     string           `yaml:"product"`
	Version     string           `yaml:"version"`
	Sources     []sourceEntry    `yaml:"sources"`
	Artifacts   []artifactEntry  `yaml:"artifacts"`
	Environment environmentEntry `yaml:"environment"`
	Recipe      recipeEntry      `yaml:"recipe"`
	Signatures  []signatureEntry `yaml:"signatures"`
}

type sourceEntry struct {
	Archive   string `yaml:"archive"`
	GitBundle string `yaml:"git-bundle"`
	Tag       string `yaml:"tag"`
	Into      string `yaml:"into"`

	CaseSensitive bool        `yaml:"case-sensitive"`
	Bases         []fileEntry `yaml:"bases"`
	LFS           lfsEntry    `yaml:"lfs"`
}

type artifactEntry struct {
	Path     string `yaml:"path"`
	Name     string `yaml:"name"`
	Rebuilt  string `yaml:"rebuilt"`
	Platform string `yaml:"platform"`
}

type environmentEntry struct {
	Image string `yaml:"image"`
}

type recipeEntry struct {
	Argv   []string          `yaml:"argv"`
	Env    map[string]string `yaml:"env"`
	Dir    string            `yaml:"dir"`
	Limits limitsEntry       `yaml:"limits"`
}

type limitsEntry struct {
	Wall      string `yaml:"wall"`
	CPU       string `yaml:"cpu"`
	Memory    string `yaml:"memory"`
	Processes int64  `yaml:"processes"`
	Disk      string `yaml:"disk"`
	Output    string `yaml:"output"`
}

// Read reads a release file. Its mistakes come back as Problems, all of them at once.
func Read(path string) (*File, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, problem.Problems{{File: path, Message: "no such file; name a release.yaml"}}
	} else if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return nil, err
	}
	return Parse(path, b)
}

// Parse reads the bytes of a release file that stands at path.
func Parse(path string, b []byte) (*File, error) {
	c := &problem.Collector{File: path, OneForPlace: true}
	t := parseTree(b, c)
	if t == nil || !c.Empty() {
		return nil, c.Err()
	}
	validate(t, c)
	if err := c.Err(); err != nil {
		return nil, err
	}
	f := &File{path: path, dir: filepath.Dir(path), tree: t}
	if err := t.root.Decode(&f.doc); err != nil {
		c.AddYAML(err)
		return nil, c.Err()
	}
	f.checkValues(c)
	return f, c.Err()
}

// checkValues looks at what a schema cannot say.
func (f *File) checkValues(c *problem.Collector) {
	report := func(field string, err error) {
		if err != nil {
			c.Add(f.tree.line(field), field, "%v", err)
		}
	}
	var err error
	l := f.doc.Recipe.Limits
	f.limits.Processes = l.Processes
	f.limits.WallSeconds, err = seconds(l.Wall)
	report("recipe.limits.wall", err)
	f.limits.CPUSeconds, err = seconds(l.CPU)
	report("recipe.limits.cpu", err)
	f.limits.MemoryBytes, err = bytesOf(l.Memory)
	report("recipe.limits.memory", err)
	f.limits.DiskBytes, err = bytesOf(l.Disk)
	report("recipe.limits.disk", err)
	f.limits.OutputBytes, err = bytesOf(l.Output)
	report("recipe.limits.output", err)
	if strings.HasPrefix(f.doc.Environment.Image, digest.Prefix) {
		_, err = digest.Parse(f.doc.Environment.Image)
		report("environment.image", err)
	}
	if _, err = f.Release(); err != nil {
		report("version", err)
	}
	f.checkSignatures(c)
}

// Release returns the name of the release that the file speaks of.
func (f *File) Release() (resource.Release, error) {
	p, err := resource.ParseProduct(f.doc.Product)
	if err != nil {
		return resource.Release{}, err
	}
	return resource.NewRelease(p, f.doc.Version)
}

// Path returns the path of the file itself.
func (f *File) Path() string { return f.path }

func (f *File) resolve(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(f.dir, p)
}
