package sshsig

import (
	"fmt"
	"strings"
)

// pattern is one of a list (ssh_config(5), PATTERNS): * stands for any characters, ? for one.
type pattern struct {
	text    string
	negated bool // what matches it is excluded, whatever else matches
}

type patterns []pattern

// parsePatterns reads a comma-separated list.
func parsePatterns(s string) (list patterns, err error) {
	if len(s) > maxListText {
		return nil, fmt.Errorf("has %d bytes, %d at most", len(s), maxListText)
	}
	positive := false
	for _, text := range strings.Split(s, ",") {
		p := pattern{text: strings.TrimPrefix(text, "!")}
		p.negated = p.text != text
		positive = positive || !p.negated
		if p.text == "" {
			return nil, fmt.Errorf("%s has an empty pattern", shown(s))
		}
		list = append(list, p)
	}
	if !positive {
		return nil, fmt.Errorf("%s matches nothing: every pattern is negated", shown(s))
	}
	return list, nil
}

// match says whether s matches one of the patterns and none of the negated ones.
func (list patterns) match(s string) bool {
	found := false
	for _, p := range list {
		if matchOne(p.text, s) {
			if p.negated {
				return false
			}
			found = true
		}
	}
	return found
}

// matchOne matches the whole of s, byte by byte, in time proportional to both lengths: of several * only the last is ever taken back.
func matchOne(pattern, s string) bool {
	star, from := -1, 0
	i, j := 0, 0
	for j < len(s) {
		switch {
		case i < len(pattern) && pattern[i] == '*':
			star, from = i, j
			i++
		case i < len(pattern) && (pattern[i] == '?' || pattern[i] == s[j]):
			i, j = i+1, j+1
		case star >= 0:
			from++
			i, j = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[i:], "*") == ""
}

func (list patterns) String() string {
	var texts []string
	for _, p := range list {
		if p.negated {
			p.text = "!" + p.text
		}
		texts = append(texts, p.text)
	}
	return strings.Join(texts, ",")
}
