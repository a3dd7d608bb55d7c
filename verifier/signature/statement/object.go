package statement

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"
)

// object is a JSON object whose members are told apart as they are written: the decoder of structs takes "Subject" for "subject", and the
// last of two for the only one, where other readers may not.
type object map[string]any

// text returns a member that is a text, "" if there is none.
func (o object) text(name string) string {
	s, _ := o[name].(string)
	return s
}

// object returns a member that is an object, none if there is no such.
func (o object) object(name string) object {
	v, _ := o[name].(object)
	return v
}

// list returns a member that is a list.
func (o object) list(name string) []any {
	v, _ := o[name].([]any)
	return v
}

// readObject reads one JSON object and nothing after it.
func readObject(b []byte) (object, error) {
	if !utf8.Valid(b) {
		return nil, fmt.Errorf("is no UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	v, err := readValue(d, 0)
	if err != nil {
		return nil, fmt.Errorf("byte %d: %w", d.InputOffset(), err)
	}
	o, ok := v.(object)
	if !ok {
		return nil, fmt.Errorf("is no JSON object")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("byte %d: something follows", d.InputOffset())
	}
	return o, nil
}

func readValue(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err == io.EOF {
		return nil, io.ErrUnexpectedEOF
	}
	switch {
	case err != nil:
		return nil, err
	case t == json.Delim('{') || t == json.Delim('['):
		if depth == maxDepth {
			return nil, fmt.Errorf("is nested more than %d deep", maxDepth)
		}
		if t == json.Delim('[') {
			return readList(d, depth+1)
		}
		return readMembers(d, depth+1)
	}
	return t, nil
}

func readList(d *json.Decoder, depth int) (list []any, err error) {
	for d.More() {
		v, err := readValue(d, depth)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err = d.Token()
	return list, err
}

func readMembers(d *json.Decoder, depth int) (object, error) {
	o := make(object)
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := t.(string)
		if _, twice := o[name]; twice {
			return nil, fmt.Errorf("has the member %.100q twice", name)
		}
		if o[name], err = readValue(d, depth); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return o, err
}
