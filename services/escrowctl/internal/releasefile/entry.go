package releasefile

import (
	"bytes"

	"go.yaml.in/yaml/v3"
)

// BundleEntry is a git bundle as it stands under sources.
type BundleEntry struct {
	GitBundle string   `yaml:"git-bundle"`
	Tag       string   `yaml:"tag"`
	Bases     []string `yaml:"bases,omitempty"`
	LFS       string   `yaml:"lfs,omitempty"` // a folder of objects

	CaseSensitive bool `yaml:"case-sensitive,omitempty"`
}

// SourceYAML writes the lines of a release file that name the bundle.
func SourceYAML(e BundleEntry) (string, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	err := enc.Encode(map[string][]BundleEntry{"sources": {e}})
	return b.String(), err
}
