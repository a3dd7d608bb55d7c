// Package progress shows how far a transfer is: a bar on a terminal, a line now and then elsewhere, or the same as JSON.
// It knows nothing of what is transferred.
package progress

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
)

// Form is how progress is shown.
type Form int

// The forms.
const (
	Lines Form = iota // a line every few seconds
	Bar               // a bar that is drawn again and again, on a terminal
	JSON              // a JSON document in a line every few seconds
)

// Meter shows progress. It is safe for concurrent use.
type Meter struct {
	w    io.Writer
	form Form
	verb string
	now  func() time.Time

	mu      sync.Mutex
	planned int64
	done    int64
	resumed int64 // of done, what was there before the clock started
	start   time.Time
	drawn   time.Time // when the bar or the last line was shown
	visible bool      // a bar stands on the terminal's last line
}

// New makes a meter that writes to w what is done, which verb says, such as UPLOAD.
func New(w io.Writer, form Form, verb string) *Meter {
	return &Meter{w: w, form: form, verb: verb, now: time.Now}
}

// Plan says what is to come and starts the clock.
func (m *Meter) Plan(files int, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.planned, m.start = bytes, m.now()
	m.drawn = m.start
	m.line(fmt.Sprintf("%s %d files, %s", m.verb, files, output.Bytes(bytes)))
}

// Sent says that more went through, or, negative, that some has to go through again.
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
	if m.form == JSON {
		m.document(map[string]string{"note": s})
		return
	}
	m.erase()
	fmt.Fprintln(m.w, output.Clean(s))
}

func (m *Meter) document(v any) {
	if b, err := json.Marshal(v); err == nil { // it always can
		fmt.Fprintln(m.w, string(b))
	}
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
	case m.form == Bar && (now || since >= redraw):
		m.erase()
		fmt.Fprint(m.w, m.bar())
		m.visible = true
	case m.form == Lines && since >= report:
		m.line("PROGRESS " + m.figures())
	case m.form == JSON && since >= report:
		m.document(map[string]progress{"progress": m.progress()})
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

// progress is how far it is. Rate and time left are not given before they mean something.
type progress struct {
	Done    int64    `json:"doneBytes"`
	Planned int64    `json:"plannedBytes"`
	Rate    int64    `json:"bytesPerSecond,omitempty"` // the mean since the clock started
	Left    *float64 `json:"secondsLeft,omitempty"`
}

func (m *Meter) progress() progress {
	p := progress{Done: max(0, m.done), Planned: m.planned}
	elapsed := m.now().Sub(m.start).Seconds()
	if moved := m.done - m.resumed; elapsed >= 0.5 && moved > 0 {
		rate := float64(moved) / elapsed
		left := max(0, float64(m.planned-m.done)/rate)
		p.Rate, p.Left = int64(rate), &left
	}
	return p
}

// figures tells share, amount, rate and time left.
func (m *Meter) figures() string {
	p := m.progress()
	s := fmt.Sprintf("%3.0f%%  %s of %s", 100*m.share(), output.Bytes(p.Done), output.Bytes(p.Planned))
	if p.Left != nil {
		s += fmt.Sprintf("  %s/s  %s left", output.Bytes(p.Rate), time.Duration(*p.Left*float64(time.Second)).Round(time.Second))
	}
	return s
}
