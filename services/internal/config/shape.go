package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"sort"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/countersign-escrow/countersign/services/internal/problem"
)

// maxDepth bounds how deep a file nests; Config itself nests four deep.
const maxDepth = 16

// parse reads one YAML document; nil if there is none.
func parse(b []byte, c *problem.Collector) *yaml.Node {
	if len(b) > MaxBytes {
		c.Add(0, "", "is longer than %d bytes", MaxBytes)
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(b))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) || (err == nil && len(doc.Content) != 1) {
		c.Add(0, "", "is empty")
		return nil
	} else if err != nil {
		c.AddYAML(err)
		return nil
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		c.Add(more.Line, "", "a second document follows: one file holds one configuration")
		return nil
	}
	return doc.Content[0]
}

// shaper holds a file against the fields of Config and notes on which line each field stands.
type shaper struct {
	problems *problem.Collector
	lines    map[string]int
}

func shape(root *yaml.Node, c *problem.Collector) map[string]int {
	s := shaper{problems: c, lines: map[string]int{}}
	s.value(root, reflect.TypeFor[Config](), "", root.Line, 0)
	return s.lines
}

func (s shaper) value(n *yaml.Node, t reflect.Type, field string, line, depth int) {
	s.lines[field] = line
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case depth > maxDepth:
		s.problems.Add(line, field, "is nested too deeply")
	case n.Kind == yaml.AliasNode:
		s.problems.Add(line, field, "is an alias: write the value out")
	case n.ShortTag() == "!!null":
		s.problems.Add(line, field, "is empty: leave the field out, or give it a value")
	case t.Kind() == reflect.Struct:
		s.mapping(n, t, field, depth)
	case t.Kind() == reflect.Slice:
		s.list(n, t.Elem(), field, depth)
	default:
		s.scalar(n, t, field, line)
	}
}

func (s shaper) mapping(n *yaml.Node, t reflect.Type, field string, depth int) {
	if n.Kind != yaml.MappingNode {
		s.problems.Add(n.Line, field, "must be a mapping of fields to values")
		return
	}
	known := fieldsOf(t)
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := join(field, key.Value)
		want, ok := known[key.Value]
		switch {
		case key.Kind != yaml.ScalarNode || !ok:
			s.problems.Add(key.Line, at, "unknown field; there are %s", names(known))
		case seen[key.Value]:
			s.problems.Add(key.Line, at, "is given twice")
		default:
			seen[key.Value] = true
			s.value(value, want, at, key.Line, depth+1)
		}
	}
}

func (s shaper) list(n *yaml.Node, t reflect.Type, field string, depth int) {
	if n.Kind != yaml.SequenceNode {
		s.problems.Add(n.Line, field, "must be a list")
		return
	}
	for i, item := range n.Content {
		s.value(item, t, field+"["+strconv.Itoa(i)+"]", item.Line, depth+1)
	}
}

func (s shaper) scalar(n *yaml.Node, t reflect.Type, field string, line int) {
	want := map[reflect.Kind][2]string{
		reflect.String: {"!!str", "text; put it in quotes"},
		reflect.Int:    {"!!int", "a whole number"},
		reflect.Bool:   {"!!bool", "true or false"},
	}[t.Kind()]
	if n.Kind != yaml.ScalarNode || n.ShortTag() != want[0] {
		s.problems.Add(line, field, "must be %s", want[1])
	}
}

// fieldsOf returns the fields of a struct by their names in the file.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := make(map[string]reflect.Type, t.NumField())
	for f := range t.Fields() {
		fields[f.Tag.Get("yaml")] = f.Type
	}
	return fields
}

func names(fields map[string]reflect.Type) string {
	list := make([]string, 0, len(fields))
	for name := range fields {
		list = append(list, name)
	}
	sort.Strings(list)
	return strings.Join(list, ", ")
}

func join(field, key string) string {
	if field == "" {
		return fmt.Sprintf("%.64s", key)
	}
	return fmt.Sprintf("%s.%.64s", field, key)
}
