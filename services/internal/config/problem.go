package config

import (
	"fmt"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// Problem is one mistake in a configuration file.
type Problem struct {
	File    string
	Line    int    // from 1; 0 where no line is to blame
	Field   string // such as objects.s3.bucket
	Message string
}

// String returns file, line, field and message, as editors and people read them.
func (p Problem) String() string {
	s := p.File
	if p.Line > 0 {
		s += ":" + strconv.Itoa(p.Line)
	}
	if p.Field != "" {
		s += ": " + p.Field
	}
	return s + ": " + p.Message
}

// maxProblems bounds how many are told.
const maxProblems = 50

// Problems is the error for a file with mistakes, by line.
type Problems []Problem

// Error returns one line for each.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// collector gathers the problems of one file.
type collector struct {
	file  string
	found Problems
}

func (c *collector) add(line int, field, format string, args ...any) {
	if len(c.found) < maxProblems {
		c.found = append(c.found, Problem{File: c.file, Line: line, Field: field, Message: fmt.Sprintf(format, args...)})
	}
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:unmarshal errors:\s*)?(?:line (\d+): )?(?s)(.*)$`)

// addYAML takes the line out of the YAML parser's message.
func (c *collector) addYAML(err error) {
	m := yamlLine.FindStringSubmatch(err.Error())
	line, _ := strconv.Atoi(m[1]) // 0 where the message names none
	c.add(line, "", "%s", strings.TrimSpace(m[2]))
}

// err returns what was gathered, nil where there is nothing.
func (c *collector) err() error {
	if len(c.found) == 0 {
		return nil
	}
	sort.SliceStable(c.found, func(i, j int) bool { return c.found[i].Line < c.found[j].Line })
	return c.found
}
