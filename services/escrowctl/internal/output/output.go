// Package output prints what commands answer, as text for people or as JSON for programs.
// It knows nothing of what the answers mean.
package output

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// Printer prints to one place in one form.
type Printer struct {
	Out  io.Writer
	JSON bool
}

// Message prints one API message: as JSON, or as text says.
func (p *Printer) Message(m proto.Message, text func(io.Writer)) error {
	if !p.JSON {
		text(p.Out)
		return nil
	}
	b, err := messageJSON(m)
	if err != nil {
		return err
	}
	return p.document(json.RawMessage(b))
}

// Value prints anything else: as JSON, or as text says.
func (p *Printer) Value(v any, text func(io.Writer)) error {
	if !p.JSON {
		text(p.Out)
		return nil
	}
	return p.document(v)
}

// Event prints one line of many: a JSON document, or the text.
func (p *Printer) Event(v any, text string) error {
	if !p.JSON {
		_, err := fmt.Fprintln(p.Out, text)
		return err
	}
	if m, ok := v.(proto.Message); ok {
		b, err := messageJSON(m)
		if err != nil {
			return err
		}
		v = json.RawMessage(b)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.Out, string(b))
	return err
}

func (p *Printer) document(v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.Out, string(b))
	return err
}

// messageJSON writes a message the same way each time, which protojson on purpose does not.
func messageJSON(m proto.Message) ([]byte, error) {
	b, err := protojson.Marshal(m)
	if err != nil {
		return nil, err
	}
	var compact bytes.Buffer
	err = json.Compact(&compact, b)
	return compact.Bytes(), err
}

// List prints messages: as a JSON object with the one field key, or as a table with a row for each.
func List[T proto.Message](p *Printer, key string, all []T, header []string, row func(T) []string) error {
	if p.JSON {
		list := make([]json.RawMessage, len(all))
		for i, m := range all {
			b, err := messageJSON(m)
			if err != nil {
				return err
			}
			list[i] = b
		}
		return p.document(map[string]any{key: list})
	}
	rows := make([][]string, len(all))
	for i, m := range all {
		rows[i] = row(m)
	}
	Table(p.Out, header, rows)
	return nil
}

// Table prints rows in columns. Cells come from strangers and are cleaned.
func Table(w io.Writer, header []string, rows [][]string) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{header}, rows...) {
		cells := make([]string, len(row))
		for i, c := range row {
			cells[i] = Clean(c)
			if c == "" {
				cells[i] = "-"
			}
		}
		fmt.Fprintln(tw, strings.TrimRight(strings.Join(cells, "\t"), "\t"))
	}
	_ = tw.Flush() // a reader that is gone is noticed at the next write
}

// Fields prints names and values below each other, leaving out what is empty.
func Fields(w io.Writer, pairs ...string) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			fmt.Fprintf(tw, "%s:\t%s\n", pairs[i], Clean(pairs[i+1]))
		}
	}
	_ = tw.Flush() // a reader that is gone is noticed at the next write
}

// Clean makes a string from a stranger harmless to a terminal and to columns: what cannot be seen is written out.
func Clean(s string) string {
	if strings.IndexFunc(s, hidden) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if hidden(r) {
			fmt.Fprintf(&b, "\\u%04x", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func hidden(r rune) bool { return !unicode.IsPrint(r) }
