package commands

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"

	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
)

// boardView prints reports as they arrive and the table: at the end, or, live, below them all the time.
type boardView struct {
	*app
	live bool

	mu    sync.Mutex
	board *board
	drawn int // lines of the table that stand on the terminal
}

// take notes a report and prints it, unless it says what the one before said. It answers errFull when nothing is left
// to wait for.
func (v *boardView) take(f boardFlags, column int, r *pb.Report) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.board.set(r.GetRelease(), column, r.GetDecision()) {
		return nil
	}
	v.erase()
	country := v.board.labs[column]
	line := fmt.Sprintf("REPORT %s %s %s", output.Release(r.GetRelease()), country, decision(r.GetDecision()))
	view := map[string]any{"release": r.GetRelease(), "country": country, "decision": decision(r.GetDecision()), "report": r.GetName(), "attestation": r.GetAttestation()}
	if err := v.printer().Event(view, line); err != nil {
		return err
	}
	v.draw()
	if v.board.full(f) {
		return errFull
	}
	return nil
}

// away tells of a broken connection without tearing the table.
func (v *boardView) away(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.erase()
	v.app.away(err)
	v.draw()
}

func (v *boardView) erase() {
	if v.drawn > 0 {
		fmt.Fprintf(v.Out, "\x1b[%dA\x1b[J", v.drawn)
	}
	v.drawn = 0
}

func (v *boardView) draw() {
	if !v.live {
		return
	}
	var buf bytes.Buffer
	fmt.Fprintln(&buf)
	v.table(&buf)
	v.drawn = strings.Count(buf.String(), "\n")
	_, _ = v.Out.Write(buf.Bytes()) // a terminal that is gone is noticed at the next line
}

func (v *boardView) table(w io.Writer) {
	output.Table(w, append([]string{"RELEASE"}, v.board.labs...), v.board.rows())
}

// end leaves the finished table.
func (v *boardView) end() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.erase()
	if v.outputFlag == "json" {
		table := make(map[string]map[string]string)
		for _, r := range v.board.releases {
			table[r] = make(map[string]string)
			for i, d := range v.board.cells[r] {
				table[r][v.board.labs[i]] = decision(d)
			}
		}
		return v.printer().Event(map[string]any{"table": table}, "")
	}
	fmt.Fprintln(v.Out)
	v.table(v.Out)
	return nil
}
