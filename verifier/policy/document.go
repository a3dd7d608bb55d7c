package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"go.yaml.in/yaml/v3"
)

// document is a policy as written, before its programs are compiled.
type document struct {
	ownRebuild bool
	rules      []ruleText
}

type ruleText struct {
	name           string
	place          string // such as policy.yaml:7 rules[signed]
	accept, reject *expressionText
	reason         string
}

// expressionText is a CEL program with its place in the source.
type expressionText struct {
	cel  string
	path string // such as rules[signed].accept
	line int    // of the program's first line
	// literal says that the lines of the program are lines of the source, so that a line in the one tells the line in the other.
	literal bool
}

var ruleName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)

// placeAt writes a place the way editors and compilers do.
func placeAt(line int, path string) string {
	return strings.TrimSuffix(fmt.Sprintf("policy.yaml:%d %s", line, path), " ")
}

func parseDocument(source []byte) (*document, error) {
	if len(source) > MaxBytes {
		return nil, fault.Invalidf("policy.yaml", "has %d bytes, %d at most", len(source), MaxBytes)
	}
	root, err := parseYAML(source)
	if err != nil {
		return nil, err
	}
	top, err := mapping(root, "", "rebuild", "rules")
	if err != nil {
		return nil, err
	}
	doc := new(document)
	if n := top["rebuild"]; n != nil {
		if n.Kind != yaml.ScalarNode || n.Value != "own" {
			return nil, fault.Invalidf(placeAt(n.Line, "rebuild"), `must be "own", or be left out`)
		}
		doc.ownRebuild = true
	}
	doc.rules, err = parseRules(root, top["rules"])
	return doc, err
}

func parseYAML(source []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(source))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, fault.Invalidf("policy.yaml", "is empty")
	} else if err != nil {
		return nil, fault.Invalidf("policy.yaml", "%s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, fault.Invalidf("policy.yaml", "something follows the document")
	}
	return doc.Content[0], nil
}

func parseRules(root, n *yaml.Node) ([]ruleText, error) {
	if n == nil {
		return nil, fault.Invalidf(placeAt(root.Line, "rules"), "is missing")
	}
	if n.Kind != yaml.SequenceNode || len(n.Content) < 1 || len(n.Content) > MaxRules {
		return nil, fault.Invalidf(placeAt(n.Line, "rules"), "must be a list of 1 to %d rules", MaxRules)
	}
	rules := make([]ruleText, 0, len(n.Content))
	seen := make(map[string]int, len(n.Content))
	for i, c := range n.Content {
		r, err := parseRule(c, i)
		if err != nil {
			return nil, err
		}
		if line, twice := seen[r.name]; twice {
			return nil, fault.Invalidf(r.place+".name", "is the name of the rule in line %d already", line)
		}
		seen[r.name] = c.Line
		rules = append(rules, r)
	}
	return rules, nil
}

func parseRule(n *yaml.Node, index int) (ruleText, error) {
	path := fmt.Sprintf("rules[%d]", index)
	fields, err := mapping(n, path, "name", "accept", "reject", "reason")
	if err != nil {
		return ruleText{}, err
	}
	name, line, err := scalar(n, fields["name"], path+".name", 63)
	if err != nil {
		return ruleText{}, err
	}
	if !ruleName.MatchString(name) {
		return ruleText{}, fault.Invalidf(placeAt(line, path+".name"), "%q must be 1 to 63 of a-z, 0-9 and '-', starting with a letter", name)
	}
	path = fmt.Sprintf("rules[%s]", name)
	r := ruleText{name: name, place: placeAt(n.Line, path)}
	if r.accept, err = parseExpression(n, fields["accept"], path+".accept"); err != nil {
		return ruleText{}, err
	}
	if fields["reject"] != nil {
		if r.reject, err = parseExpression(n, fields["reject"], path+".reject"); err != nil {
			return ruleText{}, err
		}
	}
	if fields["reason"] != nil {
		text, _, err := scalar(n, fields["reason"], path+".reason", MaxReasonBytes)
		if err != nil {
			return ruleText{}, err
		}
		r.reason = oneLine(text)
	}
	return r, nil
}

func parseExpression(parent, n *yaml.Node, path string) (*expressionText, error) {
	text, line, err := scalar(parent, n, path, MaxExpressionBytes)
	if err != nil {
		return nil, err
	}
	e := &expressionText{cel: text, path: path, line: line, literal: n.Style&yaml.LiteralStyle != 0}
	if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		e.line++ // the text of a block begins below its indicator
	}
	return e, nil
}

// mapping takes a mapping apart and refuses every key but the known ones.
func mapping(n *yaml.Node, path string, known ...string) (map[string]*yaml.Node, error) {
	if n.Kind != yaml.MappingNode {
		return nil, fault.Invalidf(placeAt(n.Line, path), "must be a mapping with %s", strings.Join(known, ", "))
	}
	fields := make(map[string]*yaml.Node, len(known))
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := placeAt(key.Line, strings.TrimPrefix(path+"."+clip(key.Value), "."))
		switch {
		case key.Kind != yaml.ScalarNode || !slices.Contains(known, key.Value):
			return nil, fault.Invalidf(at, "is no field here; there are %s", strings.Join(known, ", "))
		case fields[key.Value] != nil:
			return nil, fault.Invalidf(at, "is given twice")
		}
		fields[key.Value] = value
	}
	return fields, nil
}

// scalar returns the text of a value that must be there and not be empty.
func scalar(parent, n *yaml.Node, path string, most int) (string, int, error) {
	if n == nil {
		return "", 0, fault.Invalidf(placeAt(parent.Line, path), "is missing")
	}
	at := placeAt(n.Line, path)
	switch {
	case n.Kind != yaml.ScalarNode:
		return "", 0, fault.Invalidf(at, "must be a text")
	case strings.TrimSpace(n.Value) == "":
		return "", 0, fault.Invalidf(at, "is empty")
	case len(n.Value) > most:
		return "", 0, fault.Invalidf(at, "has %d bytes, %d at most", len(n.Value), most)
	}
	return n.Value, n.Line, nil
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func clip(s string) string {
	const most = 80
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
