package sandbox

import (
	"fmt"
	"strings"
	"testing"
)

func TestLogBuffer(t *testing.T) {
	for _, tc := range []struct{ writes, size int }{{0, 1}, {1, 10}, {1, logHead}, {3, logHead}, {1, logHead + logTail}, {1000, 100}, {1, 1 << 20}, {7, 1 << 17}, {5, logTail}} {
		var l logBuffer
		var all strings.Builder
		for i := range tc.writes {
			b := []byte(strings.Repeat(fmt.Sprintf("%d,", i), tc.size)[:tc.size])
			all.Write(b)
			if n, err := l.Write(b); n != len(b) || err != nil {
				t.Fatal(n, err)
			}
		}
		got, want := l.String(), all.String()
		if over := len(want) - logHead - logTail; over > 0 {
			want = fmt.Sprintf("%s\n[… %d bytes left out …]\n%s", want[:logHead], over, want[len(want)-logTail:])
		}
		if got != want {
			t.Errorf("%d writes of %d bytes: %d bytes kept, want %d", tc.writes, tc.size, len(got), len(want))
		}
		if len(l.tail) > 2*logTail {
			t.Errorf("holds %d bytes", len(l.tail))
		}
	}
}

func TestLogDisturbsNoTerminal(t *testing.T) {
	var l logBuffer
	l.Write([]byte("a\tb\n\x1b[2J\x00\x9b\xff é €\r\u0085"))
	if got, want := l.String(), "a\tb\n?[2J??? é €??"; got != want && got != "a\tb\n?[2J?? é €??" {
		t.Errorf("%q, want %q", got, want)
	}
}
