// Package problem holds the mistakes that were found in a file that a person wrote, all of them at once. It knows nothing of what
// the file is for.
package problem

import (
	"fmt"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// Problem is one mistake in a file.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`            // from 1; 0 where no line is to blame
	Field   string `json:"field,omitempty"` // such as recipe.argv or artifacts[0].path
	Message string `json:"message"`
}

// String returns file, line, field and message, as editors and people read them.
func (p Problem) String() string {
	s := p.File
	if p.Line > 0 {
		s = fmt.Sprintf("%s:%d", s, p.Line)
	}
	if p.Field != "" {
		s += ": " + p.Field
	}
	return s + ": " + p.Message
}

// Max bounds how many are told: a file of nonsense is not told off line by line.
const Max = 50

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

// Collector gathers the problems of one file.
type Collector struct {
	File        string
	OneForPlace bool // of several at the same line and field only the first is kept, as the others often follow from it

	found Problems
}

// Add adds a problem. Line is 0 where no line is to blame, and field is empty where no field is.
func (c *Collector) Add(line int, field, format string, args ...any) {
	if len(c.found) >= Max || (c.OneForPlace && c.has(line, field)) {
		return
	}
	c.found = append(c.found, Problem{File: c.File, Line: line, Field: field, Message: fmt.Sprintf(format, args...)})
}

func (c *Collector) has(line int, field string) bool {
	for _, p := range c.found {
		if p.Line == line && p.Field == field {
			return true
		}
	}
	return false
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:unmarshal errors:\s*)?(?:line (\d+): )?(?s)(.*)$`)

// AddYAML adds what the YAML parser says, on the line that its message names.
func (c *Collector) AddYAML(err error) {
	m := yamlLine.FindStringSubmatch(err.Error())
	line, _ := strconv.Atoi(m[1]) // 0 where the message names none
	message := strings.TrimSpace(m[2])
	if line > 0 && strings.HasPrefix(message, "did not find expected") { // counted from 0 in these messages alone
		line++
	}
	c.Add(line, "", "%s", message)
}

// Empty says whether nothing was added.
func (c *Collector) Empty() bool { return len(c.found) == 0 }

// Err returns what was gathered as Problems, or nil where there is nothing.
func (c *Collector) Err() error {
	if c.Empty() {
		return nil
	}
	sort.SliceStable(c.found, func(i, j int) bool { return c.found[i].Line < c.found[j].Line })
	return c.found
}
