package gitpack

import (
	"encoding/hex"
	"errors"
	"io"
	"strings"
)

// ID is a SHA-1 object id.
type ID [20]byte

// String returns 40 hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ParseID reads 40 lower-case hexadecimal digits.
func ParseID(s string) (ID, bool) {
	var id ID
	if len(s) != hex.EncodedLen(len(id)) || strings.ToLower(s) != s {
		return id, false
	}
	_, err := hex.Decode(id[:], []byte(s))
	return id, err == nil
}

// Kind is the type of an object.
type Kind string

// The kinds of object.
const (
	Commit Kind = "commit"
	Tree   Kind = "tree"
	Blob   Kind = "blob"
	Tag    Kind = "tag"
)

// Object is one object, whole.
type Object struct {
	Kind    Kind
	Size    int64
	Content io.Reader // valid until the pack is asked for another object, or closed
}

// ErrMissing says that neither the pack nor its bases hold an object.
var ErrMissing = errors.New("the pack does not hold the object")

// Limits bound a pack. All must be positive.
type Limits struct {
	MaxObjects     int64
	MaxObjectBytes int64 // of one object, 4 GiB at most
	MaxInflated    int64 // of all objects together as they are stored, deltas as deltas
}

// What a pack may cost beyond what it stores.
const (
	resolvedFactor = 16   // MaxInflated times this: of all objects together, deltas resolved
	readFactor     = 64   // MaxInflated times this: what is inflated and copied to give objects, however many
	maxDepth       = 4095 // deltas between an object and its whole base: what git makes at most
)

// code is the type of an object as packs have it.
type code uint8

const (
	codeNone     code = 0
	codeCommit   code = 1
	codeTree     code = 2
	codeBlob     code = 3
	codeTag      code = 4
	codeOfsDelta code = 6
	codeRefDelta code = 7
)

var kinds = map[code]Kind{codeCommit: Commit, codeTree: Tree, codeBlob: Blob, codeTag: Tag}

func (c code) delta() bool { return c == codeOfsDelta || c == codeRefDelta }

func codeOf(k string) code {
	for c, kind := range kinds {
		if string(kind) == k {
			return c
		}
	}
	return codeNone
}
