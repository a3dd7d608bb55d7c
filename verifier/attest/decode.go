package attest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

// Decoded is a statement that was read.
type Decoded struct {
	Subjects      []Subject
	PredicateType string
	Predicate     json.RawMessage
}

// Has says whether d is the digest of a subject.
func (s Decoded) Has(d digest.Digest) bool {
	for _, subject := range s.Subjects {
		if subject.Digest == d {
			return true
		}
	}
	return false
}

const maxDepth = 64

// decodeStatement reads an in-toto v1 statement strictly: the four fields and no others, no key twice at any depth, every
// subject with a SHA-256 digest and no other.
func decodeStatement(b []byte) (Decoded, error) {
	if len(b) > MaxStatementBytes {
		return Decoded{}, fault.Exhaustedf("statement", "has %d bytes, %d at most", len(b), MaxStatementBytes)
	}
	if err := checkKeys(b); err != nil {
		return Decoded{}, fault.Invalidf("statement", "%v", err)
	}
	s, err := exactFields(b)
	if err != nil {
		return Decoded{}, fault.Invalidf("statement", "%v", err)
	}
	return s, nil
}

// exactFields tells keys apart by case, which the standard decoder does not.
func exactFields(b []byte) (Decoded, error) {
	fields, err := object(b, "_type", "subject", "predicateType", "predicate")
	if err != nil {
		return Decoded{}, err
	}
	var kind string
	var s Decoded
	var raw []json.RawMessage
	for name, into := range map[string]any{"_type": &kind, "predicateType": &s.PredicateType, "subject": &raw} {
		if err := json.Unmarshal(fields[name], into); err != nil {
			return Decoded{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	switch {
	case kind != statementType:
		return Decoded{}, fmt.Errorf("_type is %q, must be %q", kind, statementType)
	case s.PredicateType == "":
		return Decoded{}, fmt.Errorf("predicateType is empty")
	case len(raw) < 1 || len(raw) > MaxSubjects:
		return Decoded{}, fmt.Errorf("%d subjects, must have 1 to %d", len(raw), MaxSubjects)
	case !bytes.HasPrefix(fields["predicate"], []byte("{")):
		return Decoded{}, fmt.Errorf("predicate must be an object")
	}
	s.Predicate = fields["predicate"]
	for i, r := range raw {
		subject, err := decodeSubject(r)
		if err != nil {
			return Decoded{}, fmt.Errorf("subject[%d]: %w", i, err)
		}
		s.Subjects = append(s.Subjects, subject)
	}
	return s, nil
}

func decodeSubject(b []byte) (Subject, error) {
	fields, err := object(b, "name", "digest")
	if err != nil {
		return Subject{}, err
	}
	set, err := object(fields["digest"], "sha256")
	if err != nil {
		return Subject{}, fmt.Errorf("digest: %w", err)
	}
	var s Subject
	var hex string
	if err := json.Unmarshal(fields["name"], &s.Name); err != nil {
		return Subject{}, fmt.Errorf("name: %w", err)
	}
	if err := json.Unmarshal(set["sha256"], &hex); err != nil {
		return Subject{}, fmt.Errorf("digest: %w", err)
	}
	s.Digest, err = digest.ParseHex(hex)
	if err == nil && s.Digest.IsZero() {
		err = fmt.Errorf("digest: is all zero")
	}
	return s, err
}

// object takes an object apart that has exactly the keys names.
func object(b []byte, names ...string) (map[string]json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(b, &fields); err != nil {
		return nil, err
	}
	for _, n := range names {
		if v, ok := fields[n]; !ok || string(v) == "null" {
			return nil, fmt.Errorf("has no %q", n)
		}
	}
	if len(fields) != len(names) {
		return nil, fmt.Errorf("has fields beside %q", names)
	}
	return fields, nil
}

// checkKeys walks JSON and refuses what is not UTF-8, a key that stands twice in one object, nesting without end, and anything
// that follows.
func checkKeys(b []byte) error {
	if !utf8.Valid(b) {
		return errors.New("is not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	if err := walkValue(dec, 0); err != nil {
		return fmt.Errorf("byte %d: %w", dec.InputOffset(), err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return fmt.Errorf("byte %d: something follows", dec.InputOffset())
	}
	return nil
}

func walkValue(dec *json.Decoder, depth int) error {
	t, err := dec.Token()
	if err != nil {
		return err
	}
	if depth > maxDepth {
		return fmt.Errorf("nested deeper than %d", maxDepth)
	}
	switch t {
	case json.Delim('{'):
		err = walkObject(dec, depth)
	case json.Delim('['):
		for err == nil && dec.More() {
			err = walkValue(dec, depth+1)
		}
	default:
		return nil
	}
	if err != nil {
		return err
	}
	_, err = dec.Token() // the closing delimiter
	return err
}

func walkObject(dec *json.Decoder, depth int) error {
	seen := make(map[string]bool)
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		name, ok := key.(string)
		if !ok || seen[name] {
			return fmt.Errorf("the key %q stands twice", name)
		}
		seen[name] = true
		if err := walkValue(dec, depth+1); err != nil {
			return err
		}
	}
	return nil
}
