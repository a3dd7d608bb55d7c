package releasefile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/countersign-escrow/countersign/services/internal/problem"
)

// Caps on a release file, which may be made by a machine or by an enemy.
const (
	MaxBytes = 1 << 20
	maxNodes = 100_000 // with aliases written out
	maxDepth = 32
)

// tree is a parsed file: its values as a JSON Schema validator wants them, and where each of them stands.
type tree struct {
	root  *yaml.Node
	value any
	lines map[string]int // by field; for a mapping's entry the line of its key
}

// parseTree reads one YAML document within the caps. Problems go to c.
func parseTree(b []byte, c *problem.Collector) *tree {
	if len(b) > MaxBytes {
		c.Add(0, "", "has %d bytes, %d at most", len(b), MaxBytes)
		return nil
	}
	root, err := parseDocument(b)
	if err != nil {
		c.AddYAML(err)
		return nil
	}
	t := &tree{root: root, lines: make(map[string]int)}
	w := walker{tree: t, problems: c}
	t.value = w.value(root, "", root.Line, 0)
	return t
}

func parseDocument(b []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(b))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, errors.New("is empty")
	} else if err != nil {
		return nil, err
	}
	switch err := dec.Decode(&more); {
	case err == nil:
		return nil, fmt.Errorf("yaml: line %d: a second document follows: one file holds one release", more.Line)
	case !errors.Is(err, io.EOF):
		return nil, err
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return nil, errors.New("is empty")
	}
	return doc.Content[0], nil
}

type walker struct {
	tree     *tree
	problems *problem.Collector
	nodes    int
	tooMany  bool
}

// value turns a node into maps, slices and scalars, notes the line of each field, and reports what JSON cannot say.
func (w *walker) value(n *yaml.Node, field string, line, depth int) any {
	if w.nodes++; w.nodes > maxNodes || depth > maxDepth {
		if !w.tooMany {
			w.problems.Add(line, "", "is nested too deeply or repeats too much")
		}
		w.tooMany = true
		return nil
	}
	w.tree.lines[field] = line
	switch n.Kind {
	case yaml.AliasNode:
		return w.value(n.Alias, field, line, depth+1)
	case yaml.MappingNode:
		return w.mapping(n, field, depth)
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for i, item := range n.Content {
			list = append(list, w.value(item, index(field, i), item.Line, depth+1))
		}
		return list
	default:
		return scalar(n)
	}
}

func (w *walker) mapping(n *yaml.Node, field string, depth int) any {
	values := make(map[string]any, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content) && !w.tooMany; i += 2 {
		key, item := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			w.problems.Add(key.Line, field, "has a key that is not a word")
			continue
		}
		at := join(field, key.Value)
		if _, twice := values[key.Value]; twice {
			w.problems.Add(key.Line, at, "is given twice; first on line %d", w.tree.lines[at])
			continue
		}
		values[key.Value] = w.value(item, at, key.Line, depth+1)
	}
	return values
}

// scalar keeps the types that the schema tells apart; anything else counts as text.
func scalar(n *yaml.Node) any {
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int":
		if i, err := strconv.ParseInt(n.Value, 10, 64); err == nil {
			return i
		}
		return 0.5 // a number too large or in another base: no whole number that a field could want
	case "!!float":
		return 0.5
	default:
		return n.Value
	}
}

// line returns where a field stands, or the nearest thing around it.
func (t *tree) line(field string) int {
	for {
		if n, ok := t.lines[field]; ok {
			return n
		}
		cut := strings.LastIndexAny(field, ".[")
		if cut < 0 {
			return t.lines[""]
		}
		field = field[:cut]
	}
}

func join(field, key string) string {
	if field == "" {
		return key
	}
	return field + "." + key
}

func index(field string, i int) string { return fmt.Sprintf("%s[%d]", field, i) }
