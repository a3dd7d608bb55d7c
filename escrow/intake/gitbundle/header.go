// Package gitbundle reads git bundles that came from anywhere: the header here, the pack behind it with gitpack, within limits. It knows
// nothing of what the objects are for.
package gitbundle

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// Caps on a header.
const (
	MaxHeaderBytes = 8 << 20
	MaxRefs        = 100_000 // of references, and of prerequisites
	maxLineBytes   = 4 << 10
)

// Header is what stands before the pack: a signature, capabilities (version 3 only), commits that the reader must have
// already, and references; see gitformat-bundle(5).
type Header struct {
	Version       int
	Prerequisites []ID          // commits that the reader must have: the pack leaves out what they lead to
	Refs          map[string]ID // by full name, such as refs/tags/v1.0
	Size          int64         // of the header in bytes: where the pack begins
}

// ReadHeader reads the header of a bundle. One that leaves out objects by a filter is refused.
func ReadHeader(r io.Reader) (*Header, error) {
	p := &headerParser{r: bufio.NewReaderSize(io.LimitReader(r, MaxHeaderBytes), maxLineBytes), h: &Header{Refs: make(map[string]ID)}}
	if err := p.signature(); err != nil {
		return nil, err
	}
	for {
		line, err := p.line()
		if err != nil {
			return nil, err
		}
		if line == "" {
			return p.h, nil
		}
		if err := p.field(line); err != nil {
			return nil, err
		}
	}
}

type headerParser struct {
	r     *bufio.Reader
	h     *Header
	lines int
	refs  bool // whether references have begun
}

// line returns the next line without its end.
func (p *headerParser) line() (string, error) {
	b, err := p.r.ReadSlice('\n')
	switch {
	case err == bufio.ErrBufferFull:
		return "", fault.Exhaustedf(p.place(), "the line has more than %d bytes", maxLineBytes)
	case err == io.EOF && p.h.Size+int64(len(b)) >= MaxHeaderBytes:
		return "", fault.Exhaustedf(p.place(), "the header has more than %d bytes", MaxHeaderBytes)
	case err == io.EOF:
		return "", fault.Invalidf(p.place(), "the header ends early")
	case err != nil:
		return "", err
	}
	p.lines++
	p.h.Size += int64(len(b))
	return string(bytes.TrimSuffix(b, []byte("\n"))), nil
}

func (p *headerParser) signature() error {
	line, err := p.line()
	if err != nil && fault.KindOf(err) == fault.Internal {
		return err
	}
	switch line {
	case "# v2 git bundle":
		p.h.Version = 2
	case "# v3 git bundle":
		p.h.Version = 3
	default:
		return fault.Invalidf("bundle", "is no git bundle of version 2 or 3").WithAdvice("make it with git bundle create")
	}
	return nil
}

func (p *headerParser) field(line string) error {
	switch line[0] {
	case '@':
		return p.capability(line[1:])
	case '-':
		return p.prerequisite(line[1:])
	default:
		return p.reference(line)
	}
}

func (p *headerParser) capability(s string) error {
	switch {
	case p.h.Version < 3 || p.refs || len(p.h.Prerequisites) > 0:
		return fault.Invalidf(p.place(), "a capability is out of place")
	case s == "object-format=sha1":
		return nil
	case strings.HasPrefix(s, "object-format="):
		return fault.Invalidf(p.place(), "the object format %.40q is not supported", strings.TrimPrefix(s, "object-format="))
	case strings.HasPrefix(s, "filter="):
		return Incompletef(p.place(), "the bundle leaves out objects by a filter").
			WithAdvice("bundle the full history: git bundle create FILE TAG, in a full clone, without a filter")
	default:
		return fault.Invalidf(p.place(), "the capability %.40q is unknown", s)
	}
}

// prerequisite reads a commit's id, behind which a comment may stand.
func (p *headerParser) prerequisite(s string) error {
	hexID, _, _ := strings.Cut(s, " ")
	id, ok := ParseID(hexID)
	switch {
	case p.refs:
		return fault.Invalidf(p.place(), "a prerequisite is out of place")
	case !ok:
		return fault.Invalidf(p.place(), "is no prerequisite: an object id, a blank, a comment")
	case len(p.h.Prerequisites) >= MaxRefs:
		return fault.Exhaustedf(p.place(), "there are more than %d prerequisites", MaxRefs)
	}
	p.h.Prerequisites = append(p.h.Prerequisites, id)
	return nil
}

func (p *headerParser) reference(line string) error {
	p.refs = true
	hexID, name, ok := strings.Cut(line, " ")
	id, good := ParseID(hexID)
	if !ok || !good || name == "" || strings.ContainsAny(name, "\x00 ") {
		return fault.Invalidf(p.place(), "is no reference: an object id, a blank, a name")
	}
	if _, twice := p.h.Refs[name]; twice {
		return fault.Invalidf(p.place(), "the reference %.200q occurs twice", name)
	}
	if len(p.h.Refs) >= MaxRefs {
		return fault.Exhaustedf(p.place(), "there are more than %d references", MaxRefs)
	}
	p.h.Refs[name] = id
	return nil
}

// place names the line that was read last.
func (p *headerParser) place() string { return fmt.Sprintf("bundle header, line %d", p.lines) }

// Tag returns what the tag refers to. The name may have its prefix refs/tags/.
func (h *Header) Tag(name string) (ID, error) {
	const prefix = "refs/tags/"
	id, ok := h.Refs[prefix+strings.TrimPrefix(name, prefix)]
	if !ok {
		return id, fault.Invalidf("tag", "the bundle has no tag %.200q", name).WithAdvice("name the tag when making the bundle: git bundle create FILE TAG")
	}
	return id, nil
}
