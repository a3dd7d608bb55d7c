// Package progress shows how far an upload is: a bar on a terminal, a line now and then elsewhere.
// It knows nothing of what is uploaded.
package progress

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
)

// Meter shows progress. It is safe for concurrent use.
type Meter struct {
	w        io.Writer
	terminal bool
	now      func() time.Time

	mu      sync.Mutex
	planned int64
	done    int64
	resumed int64 // of done, what was there before the clock started
	start   time.Time
	drawn   time.Time // when the bar or the last line was shown
	visible bool      // a bar stands on the terminal's last line
}

// New makes a meter that writes to w, which is a terminal or is not.
func New(w io.Writer, terminal bool) *Meter {
	return &Meter{w: w, terminal: terminal, now: time.Now}
}

// Plan says what is to come and starts the clock.
func (m *Meter) Plan(blobs int, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.planned, m.start = bytes, m.now()
	m.drawn = m.start
	m.line(fmt.Sprintf("UPLOAD %d blobs, %s", blobs, output.Bytes(bytes)))
}

// Sent says that more went out, or, negative, that some has to go out again.
func (m *Meter) Sent(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += bytes
	m.draw(false)
}

// Resumed says that some of what was planned was there already: it counts as done and not towards the rate.
func (m *Meter) Resumed(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += bytes
	m.resumed += bytes
	m.draw(true)
}

// Note shows a line.
func (m *Meter) Note(line string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.line(line)
	m.draw(true)
}

// Finish takes the bar away.
func (m *Meter) Finish() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.erase()
}

// How often something is shown.
const (
	redraw = 100 * time.Millisecond
	report = 5 * time.Second
)

func (m *Meter) line(s string) {
	m.erase()
	fmt.Fprintln(m.w, output.Clean(s))
}

func (m *Meter) erase() {
	if m.visible {
		fmt.Fprint(m.w, "\r\x1b[K")
	}
	m.visible = false
}

func (m *Meter) draw(now bool) {
	if m.planned == 0 {
		return
	}
	since := m.now().Sub(m.drawn)
	switch {
	case m.terminal && (now || since >= redraw):
		m.erase()
		fmt.Fprint(m.w, m.bar())
		m.visible = true
	case !m.terminal && since >= report:
		m.line("PROGRESS " + m.figures())
	default:
		return
	}
	m.drawn = m.now()
}

func (m *Meter) bar() string {
	const width = 30
	full := int(width * m.share())
	return fmt.Sprintf("[%s%s] %s", strings.Repeat("█", full), strings.Repeat("░", width-full), m.figures())
}

func (m *Meter) share() float64 {
	return min(1, max(0, float64(m.done)/float64(m.planned)))
}

// figures tells share, amount, rate and time left. The rate is the mean since the clock started.
func (m *Meter) figures() string {
	s := fmt.Sprintf("%3.0f%%  %s of %s", 100*m.share(), output.Bytes(max(0, m.done)), output.Bytes(m.planned))
	elapsed := m.now().Sub(m.start).Seconds()
	if moved := m.done - m.resumed; elapsed >= 0.5 && moved > 0 {
		rate := float64(moved) / elapsed
		left := time.Duration(float64(m.planned-m.done) / rate * float64(time.Second)).Round(time.Second)
		s += fmt.Sprintf("  %s/s  %s left", output.Bytes(int64(rate)), max(0, left))
	}
	return s
}
