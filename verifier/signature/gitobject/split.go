package gitobject

import (
	"bytes"
	"fmt"
)

// form is a form of signature, told by its first line.
type form string

const (
	openPGP form = "OpenPGP"
	openSSH form = "SSH"
	cms     form = "CMS"
)

// begins has what the lines begin with at which git takes a signature to start.
var begins = []struct {
	line string
	form form
}{
	{"-----BEGIN PGP SIGNATURE-----", openPGP},
	{"-----BEGIN PGP MESSAGE-----", openPGP},
	{"-----BEGIN SIGNED MESSAGE-----", cms},
	{"-----BEGIN SSH SIGNATURE-----", openSSH},
}

func formOf(line []byte) form {
	for _, b := range begins {
		if bytes.HasPrefix(line, []byte(b.line)) {
			return b.form
		}
	}
	return ""
}

// parts is an object taken apart.
type parts struct {
	payload   []byte // what the signature is over
	signature []byte // empty if there is none
	problem   string // why it cannot be judged
	notes     []string
}

// splitTag takes the signature off the end of a tag object. As git does, it begins at the last line that looks like the first line of one,
// and header fields with signatures, which are of the object in another hash format, are no part of the payload.
func splitTag(b []byte) parts {
	start := len(b)
	for at := 0; at < len(b); at += len(lineAt(b, at)) {
		if formOf(b[at:]) != "" {
			start = at
		}
	}
	if start == len(b) {
		return parts{}
	}
	f := cutFields(b[:start])
	p := parts{payload: f.rest, signature: b[start:]}
	if len(f.own) > 0 || f.unknown != "" {
		p.problem = "the tag object has a header field for signatures that git writes in commits only"
	}
	if f.other {
		p.notes = append(p.notes, "another signature, over the object in git's SHA-256 format, was not judged")
	}
	p.cutTail()
	return p
}

// splitCommit takes the signature out of the header of a commit object.
func splitCommit(b []byte) parts {
	f := cutFields(b)
	p := parts{payload: f.rest}
	if f.other {
		p.notes = append(p.notes, "another signature, over the object in git's SHA-256 format, was not judged")
	}
	switch {
	case f.unknown != "":
		p.problem = fmt.Sprintf("the commit has the unknown header field %.40q, which git takes for a signature and leaves out of what is signed", f.unknown)
	case len(f.own) > 1:
		p.problem = fmt.Sprintf("the commit has %d signatures in its header, where git writes one", len(f.own))
	case len(f.own) == 1:
		p.signature = f.own[0]
		p.cutTail()
	}
	return p
}

// cutTail takes what follows the last line off the signature. Nothing covers it.
func (p *parts) cutTail() {
	end := len(p.signature)
	for at := 0; at < len(p.signature); {
		line := lineAt(p.signature, at)
		at += len(line)
		if bytes.HasPrefix(line, []byte("-----END ")) {
			end = at
			break
		}
	}
	if len(bytes.TrimSpace(p.signature[end:])) > 0 {
		p.notes = append(p.notes, "text after the signature is not signed")
	}
	p.signature = p.signature[:end]
}

// fields is a header without its signatures.
type fields struct {
	rest    []byte   // header and message, without the fields that hold signatures
	own     [][]byte // fields gpgsig, unfolded
	other   bool     // has a gpgsig-sha256
	unknown string   // another field whose name begins with gpgsig
}

// cutFields takes the signatures out of a header, which ends at the first empty line.
func cutFields(b []byte) fields {
	var f fields
	var more func(line []byte) // takes the lines that continue a field, less their blank
	for at := 0; at < len(b); {
		line := lineAt(b, at)
		switch {
		case line[0] == '\n':
			f.rest = append(f.rest, b[at:]...)
			return f
		case line[0] == ' ' && more != nil:
			more(line[1:])
		case line[0] == ' ':
			f.rest = append(f.rest, line...)
		default:
			more = f.begin(line)
		}
		at += len(line)
	}
	return f
}

// begin takes the first line of a field, and returns what takes the others; nil where the field stays.
func (f *fields) begin(line []byte) func([]byte) {
	if !bytes.HasPrefix(line, []byte("gpgsig")) {
		f.rest = append(f.rest, line...)
		return nil
	}
	name, value, blank := bytes.Cut(line, []byte(" "))
	switch {
	case blank && string(name) == "gpgsig":
		f.own = append(f.own, bytes.Clone(value))
		last := &f.own[len(f.own)-1]
		return func(line []byte) { *last = append(*last, line...) }
	case blank && string(name) == "gpgsig-sha256":
		f.other = true
	default:
		f.unknown = string(bytes.TrimSpace(line))
	}
	return func([]byte) {}
}

// lineAt returns the line that begins at an offset, with its end.
func lineAt(b []byte, at int) []byte {
	if n := bytes.IndexByte(b[at:], '\n'); n >= 0 {
		return b[at : at+n+1]
	}
	return b[at:]
}
