package progress

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func run(form Form) string {
	var buf bytes.Buffer
	c := &clock{t: time.Unix(0, 0)}
	m := New(&buf, form, "UPLOAD")
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
	want := "UPLOAD 2 files, 4.0 MiB\nRESUME a\\u001b at byte 1\nPROGRESS  75%  3.0 MiB of 4.0 MiB  204.8 KiB/s  5s left\n"
	if got := run(Lines); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestBar(t *testing.T) {
	got := run(Bar)
	for _, want := range []string{"[███████████████░░░░", "50%  2.0 MiB of 4.0 MiB  1.0 MiB/s  2s left", "\r\x1b[KRESUME", "204.8 KiB/s  5s left"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %q", want, got)
		}
	}
	if !strings.HasSuffix(got, "\r\x1b[K") {
		t.Error("the bar is left standing")
	}
}

func TestJSON(t *testing.T) {
	want := `{"note":"UPLOAD 2 files, 4.0 MiB"}
{"note":"RESUME a\u001b at byte 1"}
{"progress":{"doneBytes":3145728,"plannedBytes":4194304,"bytesPerSecond":209715,"secondsLeft":5}}
`
	if got := run(JSON); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
