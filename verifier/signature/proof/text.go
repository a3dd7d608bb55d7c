package proof

import (
	"strconv"
	"strings"
	"unicode"
)

// Text makes text from outside fit to be shown: what does not print is written out, and so many bytes are left at most.
func Text(s string, most int) string {
	out, cut := written(s, most, func(r rune) string {
		if unicode.IsPrint(r) {
			return string(r)
		}
		return strings.Trim(strconv.QuoteRune(r), "'")
	})
	return out + cut
}

// Quoted puts text from outside in quotes, so that it is seen where it begins and ends. So many bytes are left between them at most.
func Quoted(s string, most int) string {
	out, cut := written(s, most, func(r rune) string {
		q := strconv.Quote(string(r))
		return q[1 : len(q)-1]
	})
	return `"` + out + `"` + cut
}

// written writes s rune by rune, and says by an ellipsis that it is cut off.
func written(s string, most int, write func(rune) string) (out, cut string) {
	var b strings.Builder
	for _, r := range s {
		w := write(r)
		if b.Len()+len(w) > most {
			return b.String(), "…"
		}
		b.WriteString(w)
	}
	return b.String(), ""
}
