package releasefile

import (
	"fmt"
	"sort"
	"strings"
)

// Problem is one mistake in a release file.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`            // from 1; 0 where no line is to blame
	Field   string `json:"field,omitempty"` // such as recipe.argv or artifacts[0].path
	Message string `json:"message"`
}

// String returns file, line, field and message, as editors and people read them.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	if p.Field != "" {
		b.WriteString(": " + p.Field)
	}
	b.WriteString(": " + p.Message)
	return b.String()
}

// maxProblems bounds how many are shown: a file of nonsense is not told off line by line.
const maxProblems = 50

// Problems is the error for a file with mistakes. It holds all that were found, by line.
type Problems []Problem

// Error returns one line for each.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// collector gathers problems of one file, one for each place.
type collector struct {
	file  string
	found Problems
	seen  map[string]bool
}

func newCollector(file string) *collector {
	return &collector{file: file, seen: make(map[string]bool)}
}

func (c *collector) add(line int, field, format string, args ...any) {
	key := fmt.Sprint(line, " ", field)
	if c.seen[key] || len(c.found) >= maxProblems {
		return
	}
	c.seen[key] = true
	c.found = append(c.found, Problem{File: c.file, Line: line, Field: field, Message: fmt.Sprintf(format, args...)})
}

// err returns what was gathered, nil where there is nothing.
func (c *collector) err() error {
	if len(c.found) == 0 {
		return nil
	}
	sort.SliceStable(c.found, func(i, j int) bool { return c.found[i].Line < c.found[j].Line })
	return c.found
}
