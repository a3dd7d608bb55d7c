package checksums

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var controlField = regexp.MustCompile(`\A([A-Za-z][A-Za-z0-9-]*):(?:[ \t](.*))?\z`)

// sumsIn are the fields of Debian's control files that hold sums: of .dsc and .changes, and of Release (deb-src-control(5),
// Debian's RepositoryFormat). The weak ones stand in every file beside the others.
var sumsIn = map[string]string{
	"checksums-sha256": "SHA256", "sha256": "SHA256", "checksums-sha512": "SHA512", "sha512": "SHA512",
	"checksums-sha1": "SHA1", "sha1": "SHA1", "files": "MD5", "md5sum": "MD5",
}

// isControl says whether a file begins as a control file does, with a field.
func isControl(b []byte) bool {
	line, _, _ := bytes.Cut(bytes.TrimLeft(b, "\r\n"), []byte("\n"))
	return controlField.Match(bytes.TrimRight(line, "\r"))
}

// control reads a control file of one paragraph.
func (p *parser) control(all [][]byte) error {
	var algorithm string // of the field that goes on
	seen, ended := map[string]bool{}, false
	for i, line := range all {
		text := string(bytes.TrimRight(line, " \t\r"))
		switch {
		case text == "":
			ended = len(seen) > 0
		case ended:
			return fmt.Errorf("line %d: something follows the paragraph", i+1)
		case text[0] == ' ' || text[0] == '\t':
			if err := p.controlLine(algorithm, text, i+1); err != nil {
				return err
			}
		default:
			m := controlField.FindStringSubmatch(text)
			if m == nil {
				return fmt.Errorf("line %d: is no field: %.60q", i+1, text)
			}
			name := strings.ToLower(m[1])
			if seen[name] {
				return fmt.Errorf("line %d: the field %s is there twice", i+1, m[1])
			}
			seen[name], algorithm = true, sumsIn[name]
			if algorithm != "" && strings.TrimSpace(m[2]) != "" {
				return fmt.Errorf("line %d: the field %s has something in its first line", i+1, m[1])
			}
		}
	}
	return nil
}

// controlLine reads "sum size name" in a field that holds sums.
func (p *parser) controlLine(algorithm, text string, at int) error {
	switch algorithm {
	case "":
		return nil
	case "MD5", "SHA1":
		p.note(noteIgnored)
		return nil
	}
	words := strings.Fields(text)
	if len(words) != 3 {
		return fmt.Errorf("line %d: is not sum, size and name: %.60q", at, text)
	}
	size, err := strconv.ParseUint(words[1], 10, 63)
	if err != nil {
		return fmt.Errorf("line %d: %.40q is no size", at, words[1])
	}
	e := Entry{Name: words[2], Size: int64(size), Line: at}
	if _, err := p.sum(&e, algorithm, words[0]); err != nil {
		return err
	}
	return p.add(e)
}
