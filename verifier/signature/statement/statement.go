// Package statement reads in-toto statements, and says which files of a release one is about and whether the source that it names is the
// release's. It knows nothing of who signed a statement.
package statement

import (
	"fmt"
	"regexp"

	"github.com/countersign-escrow/countersign/escrow/digest"
)

// Caps on a statement. No signature file that carries one is longer.
const (
	MaxBytes    = 256 << 10
	MaxSubjects = 10_000
	maxDepth    = 32
	maxProblem  = 480 // bytes of what is said to be wrong
)

// types are the values of _type: the versions of in-toto's statement.
var types = map[string]bool{"https://in-toto.io/Statement/v0.1": true, "https://in-toto.io/Statement/v1": true}

// Statement is an in-toto statement.
type Statement struct {
	PredicateType string
	Subjects      []Subject
	sources       []reference
}

// Subject is something that a statement is about. Other digests than these two are left out.
type Subject struct {
	Name   string // a file's, or a package URL; may be empty
	SHA256 digest.Digest
	SHA512 string // 128 hexadecimal digits; "" if not given
}

// Parse reads a statement: names of members are told apart by case, and none is there twice.
func Parse(b []byte) (*Statement, error) {
	if len(b) > MaxBytes {
		return nil, fmt.Errorf("the statement has %d bytes, %d at most", len(b), MaxBytes)
	}
	top, err := readObject(b)
	if err != nil {
		return nil, err
	}
	if t := top.text("_type"); !types[t] {
		return nil, fmt.Errorf("_type: is %.100q, must be that of an in-toto statement v0.1 or v1", t)
	}
	s := &Statement{PredicateType: top.text("predicateType")}
	if s.PredicateType == "" {
		return nil, fmt.Errorf("predicateType: is missing")
	}
	if err := s.subjects(top.list("subject")); err != nil {
		return nil, err
	}
	s.sources, err = sources(s.PredicateType, top.object("predicate"))
	return s, err
}

func (s *Statement) subjects(list []any) error {
	if len(list) == 0 || len(list) > MaxSubjects {
		return fmt.Errorf("subject: has %d, must have 1 to %d", len(list), MaxSubjects)
	}
	for i, v := range list {
		o, ok := v.(object)
		if !ok {
			return fmt.Errorf("subject %d: is no object", i+1)
		}
		one, err := subject(o)
		if err != nil {
			return fmt.Errorf("subject %d: %w", i+1, err)
		}
		s.Subjects = append(s.Subjects, one)
	}
	return nil
}

var hex512 = regexp.MustCompile(`\A[0-9a-f]{128}\z`)

func subject(o object) (s Subject, err error) {
	s.Name = o.text("name")
	sums := o.object("digest")
	if len(sums) == 0 {
		return s, fmt.Errorf("has no digest")
	}
	if _, ok := sums["sha256"]; ok {
		if s.SHA256, err = digest.ParseHex(sums.text("sha256")); err != nil {
			return s, fmt.Errorf("sha256: %w", err)
		}
	}
	if _, ok := sums["sha512"]; ok {
		if s.SHA512 = sums.text("sha512"); !hex512.MatchString(s.SHA512) {
			return s, fmt.Errorf("sha512: is no 128 hexadecimal digits in lower case")
		}
	}
	return s, nil
}
