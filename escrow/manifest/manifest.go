// Package manifest holds what a release contains and how to rebuild it: the document that the vendor signs.
// It knows nothing of how the document came to be, who signed it, or what a rebuild yields.
package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

// Schema names the form of the document.
const Schema = "countersign.manifest/v1"

// Caps on a manifest, which is a vendor's input.
const (
	MaxBytes     = 4 << 20
	MaxSources   = 64
	MaxBases     = 64     // of one source
	MaxLFS       = 10_000 // of all sources together
	MaxArtifacts = 4096
	MaxArgs      = 4096
	MaxVariables = 512
)

// Manifest is the whole document.
type Manifest struct {
	Schema      string      `json:"schema"`
	Product     string      `json:"product"` // organizations/{o}/products/{p}
	Version     string      `json:"version"`
	Sources     []Source    `json:"sources"`
	Artifacts   []Artifact  `json:"artifacts"`
	Environment Environment `json:"environment"`
	Recipe      Recipe      `json:"recipe"`
}

// SourceKind says how a source is packed.
type SourceKind string

// The kinds of source.
const (
	Archive   SourceKind = "archive"    // tar, tar.gz, tar.bz2, tar.xz, tar.zst or zip, told by its content
	GitBundle SourceKind = "git-bundle" // a git bundle with the tag to check out
)

// Source is one file of source.
type Source struct {
	Kind   SourceKind    `json:"kind"`
	Name   string        `json:"name"` // the file's name, for people
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`
	Tag    string        `json:"tag,omitempty"`  // for a git bundle
	Into   string        `json:"into,omitempty"` // the folder below /build/source that it is unpacked into; "" for /build/source itself
	// CaseSensitive says that names which differ in nothing but the case of letters are meant so. Without it they are refused.
	CaseSensitive bool `json:"case_sensitive,omitempty"`
	// Bases are git bundles held by the vendor, each after those that it needs itself, whose objects this bundle leaves out.
	Bases []File `json:"bases,omitempty"`
	// LFS are the Git LFS objects that stand in for pointers in the source: the digest is the object's id.
	LFS []File `json:"lfs,omitempty"`
}

// File is a file that a source needs beside its own.
type File struct {
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`
}

// Artifact is a binary that the vendor ships.
type Artifact struct {
	Path     string        `json:"path"` // its name in the release, unique, slash-separated
	Digest   digest.Digest `json:"digest"`
	Size     int64         `json:"size"`
	Rebuilt  string        `json:"rebuilt"`  // where the recipe leaves its twin: absolute below /build, or relative to the working folder
	Platform string        `json:"platform"` // such as linux/amd64
}

// Environment is the toolchain.
type Environment struct {
	Image digest.Digest `json:"image"` // the digest of the OCI image manifest
}

// Recipe says how to rebuild. There is no network, ever.
type Recipe struct {
	Argv   []string          `json:"argv"`
	Env    map[string]string `json:"env,omitempty"`
	Dir    string            `json:"dir,omitempty"` // working folder: absolute below /build, or relative to /build/source
	Limits Limits            `json:"limits"`
}

// Limits bound one run of the recipe. Zero means the service's default; the service's own maximum always holds.
type Limits struct {
	WallSeconds int64 `json:"wall_seconds,omitempty"`
	CPUSeconds  int64 `json:"cpu_seconds,omitempty"`
	MemoryBytes int64 `json:"memory_bytes,omitempty"`
	Processes   int64 `json:"processes,omitempty"`
	DiskBytes   int64 `json:"disk_bytes,omitempty"`
	OutputBytes int64 `json:"output_bytes,omitempty"` // all rebuilt twins together
}

// The folders that a recipe finds in the sandbox.
const (
	BuildRoot  = "/build"
	SourceRoot = "/build/source"
)

// Parse reads a manifest strictly: everything well-formed, and byte for byte the form that Marshal writes, so that
// no two readers can take the same signed bytes for different things (duplicate keys, other spellings of a key).
func Parse(b []byte) (*Manifest, error) {
	if len(b) > MaxBytes {
		return nil, fault.Exhaustedf("manifest", "has %d bytes, %d at most", len(b), MaxBytes)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	m := new(Manifest)
	if err := dec.Decode(m); err != nil {
		return nil, fault.Invalidf("manifest", "byte %d: %v", dec.InputOffset(), err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fault.Invalidf("manifest", "byte %d: something follows the document", dec.InputOffset())
	}
	if err := m.Check(); err != nil {
		return nil, err
	}
	again, err := m.Marshal()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, b) {
		return nil, fault.Invalidf("manifest", "byte %d: is not in canonical form", firstDifference(again, b)).
			WithAdvice("sign what `escrowctl release manifest` prints")
	}
	return m, nil
}

func firstDifference(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// Marshal writes the manifest as the bytes that are signed: indented JSON with a final newline.
func (m *Manifest) Marshal() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(m); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Release returns the name of the release that the manifest speaks of.
func (m *Manifest) Release() (resource.Release, error) {
	p, err := resource.ParseProduct(m.Product)
	if err != nil {
		return resource.Release{}, fault.Invalidf("product", "%v", err)
	}
	r, err := resource.NewRelease(p, m.Version)
	if err != nil {
		return resource.Release{}, fault.Invalidf("version", "%v", err)
	}
	return r, nil
}

// Check says what is not well-formed, naming the field.
func (m *Manifest) Check() error {
	if m.Schema != Schema {
		return fault.Invalidf("schema", "is %q, must be %q", m.Schema, Schema)
	}
	if _, err := m.Release(); err != nil {
		return err
	}
	if err := m.checkSources(); err != nil {
		return err
	}
	if m.Environment.Image.IsZero() {
		return fault.Invalidf("environment.image", "is missing")
	}
	if err := m.Recipe.check(); err != nil {
		return err
	}
	return m.checkArtifacts()
}

func (m *Manifest) checkArtifacts() error {
	if n := len(m.Artifacts); n < 1 || n > MaxArtifacts {
		return fault.Invalidf("artifacts", "has %d entries, must have 1 to %d", n, MaxArtifacts)
	}
	seen := make(map[string]bool, len(m.Artifacts))
	for i, a := range m.Artifacts {
		at := fmt.Sprintf("artifacts[%d]", i)
		if !cleanRelative(a.Path) {
			return fault.Invalidf(at+".path", "%q must be a clean relative path", a.Path)
		}
		if seen[a.Path] {
			return fault.Invalidf(at+".path", "%q is listed twice", a.Path)
		}
		seen[a.Path] = true
		if err := checkFile(at, a.Digest, a.Size); err != nil {
			return err
		}
		if !belowBuild(m.Recipe.AbsRebuilt(a)) {
			return fault.Invalidf(at+".rebuilt", "%q must lie below %s", a.Rebuilt, BuildRoot)
		}
		if !platform.MatchString(a.Platform) {
			return fault.Invalidf(at+".platform", "%q must be like linux/amd64", a.Platform)
		}
	}
	return nil
}

var (
	platform = regexp.MustCompile(`^[a-z0-9]{1,32}/[a-z0-9]{1,32}(/[a-z0-9]{1,32})?$`)
	variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)
)

func (r *Recipe) check() error {
	if n := len(r.Argv); n < 1 || n > MaxArgs {
		return fault.Invalidf("recipe.argv", "has %d words, must have 1 to %d", n, MaxArgs)
	}
	for i, a := range r.Argv {
		if strings.ContainsRune(a, 0) {
			return fault.Invalidf(fmt.Sprintf("recipe.argv[%d]", i), "holds a zero byte")
		}
	}
	if r.Argv[0] == "" {
		return fault.Invalidf("recipe.argv[0]", "is empty")
	}
	if len(r.Env) > MaxVariables {
		return fault.Invalidf("recipe.env", "has %d variables, %d at most", len(r.Env), MaxVariables)
	}
	for k, v := range r.Env {
		if !variable.MatchString(k) || strings.ContainsRune(v, 0) {
			return fault.Invalidf("recipe.env", "%q: malformed variable", k)
		}
	}
	if d := r.AbsDir(); d != BuildRoot && !belowBuild(d) {
		return fault.Invalidf("recipe.dir", "%q must lie below %s", r.Dir, BuildRoot)
	}
	l := r.Limits
	for name, n := range map[string]int64{"wall_seconds": l.WallSeconds, "cpu_seconds": l.CPUSeconds, "memory_bytes": l.MemoryBytes,
		"processes": l.Processes, "disk_bytes": l.DiskBytes, "output_bytes": l.OutputBytes} {
		if n < 0 {
			return fault.Invalidf("recipe.limits."+name, "is negative")
		}
	}
	return nil
}

// AbsDir returns the working folder as an absolute path in the sandbox.
func (r *Recipe) AbsDir() string { return absBelow(SourceRoot, r.Dir) }

// AbsRebuilt returns the place of an artifact's twin as an absolute path in the sandbox.
func (r *Recipe) AbsRebuilt(a Artifact) string { return absBelow(r.AbsDir(), a.Rebuilt) }

func absBelow(base, p string) string {
	if path.IsAbs(p) {
		return path.Clean(p)
	}
	return path.Join(base, p)
}

func belowBuild(p string) bool { return strings.HasPrefix(p, BuildRoot+"/") }

func cleanRelative(p string) bool {
	return p != "" && p != "." && len(p) <= 1024 && !path.IsAbs(p) && path.Clean(p) == p && !strings.HasPrefix(p, "../") && p != ".." &&
		!strings.ContainsAny(p, "\x00\n\r\\")
}

func checkFile(at string, d digest.Digest, size int64) error {
	if d.IsZero() {
		return fault.Invalidf(at+".digest", "is missing")
	}
	if size < 0 {
		return fault.Invalidf(at+".size", "is negative")
	}
	return nil
}
