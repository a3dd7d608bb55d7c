package sandbox

import (
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"
)

// How much of the beginning and of the end of a log is kept.
const (
	logHead = 4 << 10
	logTail = 12 << 10
)

// logBuffer takes in any number of bytes and keeps the first and the last of them.
type logBuffer struct {
	mu   sync.Mutex
	head []byte
	tail []byte // up to twice logTail, cut from time to time
	all  int64
}

// Write never fails.
func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(b)
	l.all += int64(n)
	if room := logHead - len(l.head); room > 0 {
		k := min(room, len(b))
		l.head = append(l.head, b[:k]...)
		b = b[k:]
	}
	if len(b) > logTail {
		b = b[len(b)-logTail:]
	}
	if len(l.tail)+len(b) > 2*logTail {
		l.tail = append(l.tail[:0], l.tail[len(l.tail)-logTail:]...)
	}
	l.tail = append(l.tail, b...)
	return n, nil
}

// String returns the log as text that disturbs no terminal, and says how much is left out.
func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	tail := l.tail[max(0, len(l.tail)-logTail):]
	cut := l.all - int64(len(l.head)) - int64(len(tail))
	if cut == 0 {
		return plain(append(append([]byte(nil), l.head...), tail...))
	}
	return fmt.Sprintf("%s\n[… %d bytes left out …]\n%s", plain(l.head), cut, plain(tail))
}

func plain(b []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(string(b), "?"))
}
