package signeddata

import (
	"errors"
	"fmt"
)

// checkDER walks over all elements before anything else reads them: definite lengths only, each inside its parent, neither too deep nor
// too many. It looks into constructed elements alone and keeps no stack of its own beyond the depth that it allows.
func checkDER(b []byte) error {
	w := walk{b: b}
	for n := 0; n == 0 || w.depth > 0; n++ {
		if n == maxElements {
			return fmt.Errorf("has more than %d elements", maxElements)
		}
		if err := w.next(); err != nil {
			return fmt.Errorf("byte %d: %w", w.at, err)
		}
	}
	if w.at != len(b) {
		return fmt.Errorf("byte %d: %d bytes follow the message", w.at, len(b)-w.at)
	}
	return nil
}

// walk is a place in a message.
type walk struct {
	b         []byte
	at, depth int
	ends      [maxDepth]int // where the elements end that are open
}

// next steps into a constructed element, or over a primitive one, and out of all that end there.
func (w *walk) next() error {
	limit := len(w.b)
	if w.depth > 0 {
		limit = w.ends[w.depth-1]
	}
	content, length, err := header(w.b[w.at:limit])
	if err != nil {
		return err
	}
	if w.b[w.at]&0x20 == 0 {
		w.at += content + length
	} else if w.depth == maxDepth {
		return fmt.Errorf("elements nest deeper than %d", maxDepth)
	} else {
		w.ends[w.depth] = w.at + content + length
		w.depth++
		w.at += content
	}
	for w.depth > 0 && w.at == w.ends[w.depth-1] {
		w.depth--
	}
	return nil
}

// header returns where the content of the element at the start of b begins, and its length; the whole of it lies in b.
func header(b []byte) (content, length int, err error) {
	at := 1
	if len(b) > 0 && b[0]&0x1f == 0x1f {
		for at < len(b) && at < 5 && b[at]&0x80 != 0 {
			at++
		}
		at++
	}
	if at >= len(b) {
		return 0, 0, errors.New("is cut off")
	}
	length = int(b[at])
	at++
	switch {
	case length == 0x80:
		return 0, 0, errors.New("has an indefinite length (BER); write the message in DER")
	case length > 0x84:
		return 0, 0, errors.New("has a length of more than 4 bytes")
	case length > 0x80:
		if length, at, err = longLength(b, at, length&0x7f); err != nil {
			return 0, 0, err
		}
	}
	if length > len(b)-at {
		return 0, 0, errors.New("is longer than what it is in")
	}
	return at, length, nil
}

func longLength(b []byte, at, n int) (length, end int, err error) {
	if len(b)-at < n {
		return 0, 0, errors.New("is cut off")
	}
	for _, c := range b[at : at+n] {
		length = length<<8 | int(c)
	}
	return length, at + n, nil
}
