package rebuild

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"strconv"
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/manifest"
)

// The folders of a workspace, as the run sees them.
const (
	Home = manifest.BuildRoot + "/home" // HOME
	Out  = manifest.BuildRoot + "/out"  // empty at the start
)

// planSchema names the form of a plan.
const planSchema = "countersign.plan/v1"

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Bounds are the limits of a service: the defaults where a recipe says nothing, and what no recipe may pass.
type Bounds struct {
	Default, Most manifest.Limits
}

// DefaultBounds suit a build of an hour on a common machine.
func DefaultBounds() Bounds {
	return Bounds{
		Default: manifest.Limits{WallSeconds: 3600, CPUSeconds: 4 * 3600, MemoryBytes: 4 << 30, Processes: 4096, DiskBytes: 20 << 30, OutputBytes: 4 << 30},
		Most:    manifest.Limits{WallSeconds: 24 * 3600, CPUSeconds: 96 * 3600, MemoryBytes: 64 << 30, Processes: 32768, DiskBytes: 400 << 30, OutputBytes: 64 << 30},
	}
}

// Conditions are what a build must not depend on. Two runs differ in all of them, and in the time of day.
type Conditions struct {
	HostName string `json:"hostName"`
	TimeZone string `json:"timeZone"` // in the form of POSIX, which needs no zone files
	Locale   string `json:"locale"`
	Umask    uint32 `json:"umask"`
	UID      uint32 `json:"uid"`
	GID      uint32 `json:"gid"`
}

// The conditions of the first run and of the second, which tells an unstable build from another source.
var (
	FirstConditions  = Conditions{HostName: "countersign", TimeZone: "UTC0", Locale: "C.UTF-8", Umask: 0o022, UID: 1000, GID: 1000}
	SecondConditions = Conditions{HostName: "another-host", TimeZone: "XXX-13:45", Locale: "tr_TR.UTF-8", Umask: 0o027, UID: 1001, GID: 1001}
)

// words returns the conditions as evidence for people and programs.
func (c Conditions) words() map[string]string {
	return map[string]string{
		"hostName": c.HostName,
		"timeZone": c.TimeZone,
		"locale":   c.Locale,
		"umask":    fmt.Sprintf("%04o", c.Umask),
		"uid":      strconv.FormatUint(uint64(c.UID), 10),
		"gid":      strconv.FormatUint(uint64(c.GID), 10),
	}
}

// Setting is what a plan takes from elsewhere than the manifest.
type Setting struct {
	Conditions Conditions
	Platform   string    // of the environment's image
	Path       string    // the image's own PATH; "" for a common one
	SourceTime time.Time // of the source; zero where it is not known
	Bounds     Bounds
}

// Plan is one run as plain data: all that decides what the build sees, and what it may use.
type Plan struct {
	Schema     string            `json:"schema"`
	Image      digest.Digest     `json:"image"`
	Platform   string            `json:"platform"`
	Sources    []manifest.Source `json:"sources"`
	Argv       []string          `json:"argv"`
	Env        map[string]string `json:"env"` // all of it
	Dir        string            `json:"dir"` // absolute
	Limits     manifest.Limits   `json:"limits"`
	Outputs    []Output          `json:"outputs"`
	Conditions Conditions        `json:"conditions"`
}

// Output is where a run leaves the twin of an artifact.
type Output struct {
	Artifact string `json:"artifact"` // its path in the manifest
	Path     string `json:"path"`     // absolute, below /build
}

// NewPlan plans one run of a manifest's recipe.
func NewPlan(m *manifest.Manifest, s Setting) (*Plan, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	p := &Plan{
		Schema:     planSchema,
		Image:      m.Environment.Image,
		Platform:   s.Platform,
		Sources:    append([]manifest.Source(nil), m.Sources...),
		Argv:       append([]string(nil), m.Recipe.Argv...),
		Env:        environment(m.Recipe.Env, s),
		Dir:        m.Recipe.AbsDir(),
		Limits:     s.Bounds.resolve(m.Recipe.Limits),
		Conditions: s.Conditions,
	}
	for _, a := range m.Artifacts {
		p.Outputs = append(p.Outputs, Output{Artifact: a.Path, Path: m.Recipe.AbsRebuilt(a)})
	}
	return p, nil
}

// environment gives every variable of a run. The recipe has the last word.
func environment(recipe map[string]string, s Setting) map[string]string {
	env := map[string]string{
		"HOME":   Home,
		"PATH":   s.Path,
		"TZ":     s.Conditions.TimeZone,
		"LANG":   s.Conditions.Locale,
		"LC_ALL": s.Conditions.Locale,
	}
	if s.Path == "" {
		env["PATH"] = defaultPath
	}
	if !s.SourceTime.IsZero() {
		env["SOURCE_DATE_EPOCH"] = strconv.FormatInt(s.SourceTime.Unix(), 10)
	}
	maps.Copy(env, recipe)
	return env
}

func (b Bounds) resolve(l manifest.Limits) manifest.Limits {
	pick := func(asked, usual, most int64) int64 {
		if asked == 0 {
			asked = usual
		}
		return min(asked, most)
	}
	return manifest.Limits{
		WallSeconds: pick(l.WallSeconds, b.Default.WallSeconds, b.Most.WallSeconds),
		CPUSeconds:  pick(l.CPUSeconds, b.Default.CPUSeconds, b.Most.CPUSeconds),
		MemoryBytes: pick(l.MemoryBytes, b.Default.MemoryBytes, b.Most.MemoryBytes),
		Processes:   pick(l.Processes, b.Default.Processes, b.Most.Processes),
		DiskBytes:   pick(l.DiskBytes, b.Default.DiskBytes, b.Most.DiskBytes),
		OutputBytes: pick(l.OutputBytes, b.Default.OutputBytes, b.Most.OutputBytes),
	}
}

// JSON returns the plan's canonical form: the same plan gives the same bytes.
func (p *Plan) JSON() []byte {
	b, err := json.Marshal(p)
	if err != nil {
		panic(err) // strings, numbers and maps of strings always marshal
	}
	return b
}

// Digest returns the digest of the canonical form.
func (p *Plan) Digest() digest.Digest { return digest.Of(p.JSON()) }

// workspaceName turns an absolute path below /build into one relative to the workspace.
func workspaceName(p string) string {
	return path.Join(".", p[len(manifest.BuildRoot):])
}
