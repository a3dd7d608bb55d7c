package releasefile

import (
	"go.yaml.in/yaml/v3"

	"github.com/countersign-escrow/countersign/services/internal/problem"
)

// manifestName is what a signature's over says for the manifest.
const manifestName = "manifest"

// signatureEntry is a path, for a signature over the manifest, or a mapping that says what it is over.
type signatureEntry struct {
	File string `yaml:"file"`
	Over string `yaml:"over"`
	List string `yaml:"list"`
}

// UnmarshalYAML reads a path or a mapping.
func (e *signatureEntry) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return n.Decode(&e.File)
	}
	type fields signatureEntry
	return n.Decode((*fields)(e))
}

// plain says whether it is over the manifest, as far as the release file says.
func (e *signatureEntry) plain() bool {
	return e.List == "" && (e.Over == "" || e.Over == manifestName)
}

// SignaturePaths returns where the signatures over the manifest are or shall be.
func (f *File) SignaturePaths() []string {
	var paths []string
	for _, e := range f.doc.Signatures {
		if e.plain() {
			paths = append(paths, f.resolve(e.File))
		}
	}
	return paths
}

// checkSignatures looks at what the schema leaves open.
func (f *File) checkSignatures(c *problem.Collector) {
	for i, e := range f.doc.Signatures {
		if e.Over != "" && e.List != "" {
			field := index("signatures", i)
			c.Add(f.tree.line(field), field, "has both over and list: a signature is over one of them")
		}
	}
}
