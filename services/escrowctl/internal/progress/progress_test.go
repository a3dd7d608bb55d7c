package progress

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func run(terminal bool) string {
	var buf bytes.Buffer
	c := &clock{t: time.Unix(0, 0)}
	m := New(&buf, terminal)
	m.now = c.now
	m.Plan(2, 4<<20)
	m.Resumed(1 << 20)
	c.t = c.t.Add(time.Second)
	m.Sent(1 << 20)
	m.Note("RESUME a\x1b at byte 1")
	c.t = c.t.Add(9 * time.Second)
	m.Sent(1 << 20)
	m.Finish()
	return buf.String()
}

func TestLines(t *testing.T) {
	want := "UPLOAD 2 blobs, 4.0 MiB\nRESUME a\\u001b at byte 1\nPROGRESS  75%  3.0 MiB of 4.0 MiB  204.8 KiB/s  5s left\n"
	if got := run(false); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestBar(t *testing.T) {
	got := run(true)
	for _, want := range []string{"[███████████████░░░░", "50%  2.0 MiB of 4.0 MiB  1.0 MiB/s  2s left", "\r\x1b[KRESUME", "204.8 KiB/s  5s left"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %q", want, got)
		}
	}
	if !strings.HasSuffix(got, "\r\x1b[K") {
		t.Error("the bar is left standing")
	}
}
