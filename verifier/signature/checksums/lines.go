package checksums

import (
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"

	"github.com/countersign-escrow/countersign/escrow/digest"
)

// The forms of a line. A backslash in front says that the name has backslashes and ends of line escaped (coreutils, "cksum output modes").
// A name may hold whatever else, the text between sum and name included: so what stands before the name and after it is matched exactly.
var (
	gnuLine = regexp.MustCompile(`(?s)\A(\\?)([0-9A-Fa-f]{32,128}) [ *](.*)\z`)
	bsdLine = regexp.MustCompile(`(?s)\A(\\?)([A-Za-z0-9/-]{1,16}) ?\((.*)\) ?= ([0-9A-Fa-f]{32,128})\z`)
)

// lines reads a list of one file per line. Empty lines and those that begin with # say nothing.
func (p *parser) lines(all [][]byte) error {
	for i, line := range all {
		text := string(bytes.TrimSuffix(line, []byte("\r")))
		if strings.TrimSpace(text) == "" || text[0] == '#' {
			continue
		}
		if err := p.line(text, i+1); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) line(text string, at int) error {
	var escaped, algorithm, name, sum string
	if m := gnuLine.FindStringSubmatch(text); m != nil {
		escaped, sum, name = m[1], m[2], m[3]
	} else if m := bsdLine.FindStringSubmatch(text); m != nil {
		escaped, algorithm, name, sum = m[1], m[2], m[3], m[4]
	} else {
		return fmt.Errorf("line %d: is of no known form: %.60q", at, text)
	}
	if escaped != "" {
		var err error
		if name, err = unescape(name); err != nil {
			return fmt.Errorf("line %d: %w", at, err)
		}
	}
	e := Entry{Name: name, Size: -1, Line: at}
	used, err := p.sum(&e, algorithm, sum)
	if err != nil || !used {
		return err
	}
	return p.add(e)
}

// digits are the lengths of sums in hexadecimal digits by the names that BSD's tools and openssl give them.
var digits = map[string]int{
	"SHA256": 64, "SHA2-256": 64, "SHA512": 128, "SHA2-512": 128,
	"MD5": 32, "SHA1": 40, "SHA224": 56, "SHA2-224": 56, "SHA384": 96, "SHA2-384": 96,
	"RMD160": 40, "BLAKE2b": 128, "BLAKE2b-256": 64, "SM3": 64, "SHA3-256": 64, "SHA3-512": 128, "SHA512/256": 64, "SHA2-512/256": 64,
}

// sum reads a sum into an entry, and says whether it is of use. Without the name of an algorithm the length tells.
func (p *parser) sum(e *Entry, algorithm, sum string) (used bool, err error) {
	if algorithm == "" {
		algorithm = map[int]string{32: "MD5", 40: "SHA1", 56: "SHA224", 64: "SHA256", 96: "SHA384", 128: "SHA512"}[len(sum)]
	}
	if n, ok := digits[algorithm]; !ok || n != len(sum) {
		return false, fmt.Errorf("line %d: %d digits are no sum of a known algorithm", e.Line, len(sum))
	}
	b, err := hex.DecodeString(sum)
	if err != nil {
		return false, fmt.Errorf("line %d: %w", e.Line, err)
	}
	switch algorithm {
	case "SHA256", "SHA2-256":
		e.SHA256, err = digest.FromBytes(b)
	case "SHA512", "SHA2-512":
		e.SHA512 = (*[sha512.Size]byte)(b)
	case "MD5", "SHA1":
		p.note(noteIgnored)
		return false, nil
	default:
		p.note(algorithm + " sums are not used")
		return false, nil
	}
	return true, err
}

// unescape reads a name that was escaped as coreutils do.
func unescape(s string) (string, error) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(s, `\`)
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		if rest == "" || !strings.ContainsRune(`\nr`, rune(rest[0])) {
			return "", fmt.Errorf("the name %.200q has a backslash that escapes nothing", s)
		}
		out.WriteByte(map[byte]byte{'\\': '\\', 'n': '\n', 'r': '\r'}[rest[0]])
		s = rest[1:]
	}
}
