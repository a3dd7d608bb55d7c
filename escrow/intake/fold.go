package intake

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// folding folds paths to what they are on file systems that do not tell apart letter case (NTFS, APFS, ext4 with casefold),
// Unicode normalization forms (HFS+, APFS), or names with invisible code points in them (HFS+, ext4 with casefold). Two paths
// that fold to the same one cannot both be there. It is not safe for concurrent use.
type folding struct {
	caseSensitive bool
	caser         cases.Caser
	last, folded  string
}

func newFolding(caseSensitive bool) *folding {
	return &folding{caseSensitive: caseSensitive, caser: cases.Fold()}
}

// path folds a path, and returns the very same string where that changes nothing.
func (f *folding) path(p string) string {
	if p == f.last {
		return f.folded
	}
	f.last, f.folded = p, f.names(p)
	return f.folded
}

// names folds name by name: one that is no text in UTF-8 is folded as bytes and does not spoil the others.
func (f *folding) names(p string) string {
	if isASCII(p) {
		return f.ascii(p)
	}
	names := strings.Split(p, "/")
	for i, name := range names {
		if isASCII(name) || !utf8.ValidString(name) {
			names[i] = f.ascii(name)
		} else {
			names[i] = f.text(name)
		}
	}
	return strings.Join(names, "/")
}

// ascii folds the letters of ASCII alone.
func (f *folding) ascii(s string) string {
	if f.caseSensitive {
		return s
	}
	if strings.IndexFunc(s, isUpperASCII) < 0 {
		return s
	}
	b := []byte(s) // and not by strings.Map, which would make one of all bytes that are no text
	for i, c := range b {
		if isUpperASCII(rune(c)) {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

func isUpperASCII(r rune) bool { return 'A' <= r && r <= 'Z' }

// text folds as the Unicode Standard has it for canonical caseless matching (D145), without invisible code points.
func (f *folding) text(s string) string {
	s = strings.Map(visible, norm.NFD.String(s))
	if !f.caseSensitive {
		s = strings.ToLower(f.caser.String(s)) // lower, because Cherokee folds to upper case
	}
	return norm.NFD.String(s)
}

func visible(r rune) rune {
	if r >= utf8.RuneSelf && unicode.In(r, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point) {
		return -1
	}
	return r
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
