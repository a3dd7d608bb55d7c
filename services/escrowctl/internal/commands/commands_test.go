package commands

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/client"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/profile"
)

func TestEveryCommandIsExplained(t *testing.T) {
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Name() != "escrowctl" && (c.Short == "" || c.Long == "" || c.Example == "") {
			t.Errorf("%s lacks a Short, a Long or an Example", c.CommandPath())
		}
		if c.Name() != "escrowctl" && !strings.Contains(c.Example, "escrowctl ") {
			t.Errorf("%s: the example runs something else: %s", c.CommandPath(), c.Example)
		}
		for _, child := range c.Commands() {
			visit(child)
		}
	}
	visit(new(app).root())
}

func acme() *client.Client {
	return &client.Client{Profile: &profile.Profile{Organization: resource.Organization{ID: "acme"}}}
}

func TestNames(t *testing.T) {
	for in, want := range map[string]string{
		"widget/1.0":       "organizations/acme/products/widget/releases/1.0",
		"rival/widget/1.0": "organizations/rival/products/widget/releases/1.0",
		"organizations/rival/products/widget/releases/1.0": "organizations/rival/products/widget/releases/1.0",
		"widget":         "",
		"Widget/1.0":     "",
		"a/b/c/d":        "",
		"organizations/": "",
		"widget/":        "",
	} {
		got, err := release(acme(), in)
		var usage usageError
		if want == "" && !errors.As(err, &usage) || want != "" && (err != nil || got.String() != want) {
			t.Errorf("release(%q) = %v, %v", in, got, err)
		}
	}
	if got, err := child(acme(), resource.Reports, "3"); err != nil || got.String() != "organizations/acme/reports/3" {
		t.Errorf("child = %v, %v", got, err)
	}
	if got, err := attestation("x1"); err != nil || got.String() != "attestations/x1" {
		t.Errorf("attestation = %v, %v", got, err)
	}
}

func TestWhen(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for in, want := range map[string]string{
		"90d": "2030-04-01T00:00:00Z", "12h": "2030-01-01T12:00:00Z", "2031-12-31": "2031-12-31T00:00:00Z",
		"2031-12-31T10:00:00+02:00": "2031-12-31T08:00:00Z", "-5d": "", "0d": "", "soon": "", "": "", "99999999d": "",
	} {
		got, err := when(in, now)
		if want == "" && err == nil || want != "" && (err != nil || got.UTC().Format(time.RFC3339) != want) {
			t.Errorf("when(%q) = %v, %v", in, got, err)
		}
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{"a-b/c.d:1": "a-b/c.d:1", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "$x": "'$x'"} {
		if got := quote(in); got != want {
			t.Errorf("quote(%q) = %s", in, got)
		}
	}
}

func TestPages(t *testing.T) {
	got, err := pages(func(token string) ([]string, string, error) {
		return []string{"page" + token}, map[string]string{"": "1", "1": "2"}[token], nil
	})
	if err != nil || strings.Join(got, " ") != "page page1 page2" {
		t.Errorf("%v, %v", got, err)
	}
}

// numbers is a stream of the numbers after one, which breaks off after two.
type numbers struct{ next, end int }

func (n *numbers) Recv() (int, error) {
	if n.next > n.end {
		return 0, &fault.Error{Kind: fault.Unavailable, Message: "broke off"}
	}
	n.next++
	return n.next - 1, nil
}

func TestFollowMissesNothing(t *testing.T) {
	var seen []int
	breaks := 0
	err := follow(t.Context(), func(error) { breaks++ }, func(context.Context) (receiver[int], error) {
		return &numbers{next: len(seen) + 1, end: len(seen) + 2}, nil
	}, func(n int) (bool, error) {
		seen = append(seen, n)
		return n == 5, nil
	})
	if err != nil || len(seen) != 5 || seen[4] != 5 || breaks != 2 {
		t.Errorf("%v, seen %v, broke %d times", err, seen, breaks)
	}
}

func TestFollowEnds(t *testing.T) {
	denied := fault.Deniedf("NO_GRANT", "no")
	err := follow(t.Context(), func(error) {}, func(context.Context) (receiver[int], error) { return nil, denied }, nil)
	if !errors.Is(err, denied) {
		t.Errorf("denied: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = follow(ctx, func(error) { cancel() }, func(context.Context) (receiver[int], error) { return &numbers{next: 1}, nil },
		func(int) (bool, error) { return false, nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}

func TestBoard(t *testing.T) {
	var out bytes.Buffer
	a := &app{Streams: Streams{Out: &out, Err: io.Discard}, outputFlag: "text"}
	v := &boardView{app: a, live: true, board: newBoard([]string{"FI", "JP"})}
	report := func(version string, d pb.Decision) *pb.Report {
		return &pb.Report{Release: "organizations/acme/products/w/releases/" + version, Decision: d}
	}
	f := boardFlags{releases: 1}
	for _, r := range []struct {
		column int
		report *pb.Report
		want   error
	}{
		{0, report("2", pb.Decision_DECISION_ACCEPTED), nil},
		{1, report("2", pb.Decision_DECISION_PENDING), nil},
		{0, report("1", pb.Decision_DECISION_REJECTED), nil},
		{1, report("2", pb.Decision_DECISION_INCONCLUSIVE), errFull},
	} {
		if err := v.take(f, r.column, r.report); !errors.Is(err, r.want) {
			t.Errorf("%v: %v", r.report, err)
		}
	}
	if err := v.end(); err != nil {
		t.Fatal(err)
	}
	got := out.String()
	if want := "\nRELEASE  FI        JP\nw/1      REJECTED  -\nw/2      ACCEPTED  INCONCLUSIVE\n"; !strings.HasSuffix(got, want) {
		t.Errorf("ends with\n%q", got)
	}
	if !strings.Contains(got, "\x1b[4A\x1b[JREPORT w/2 JP INCONCLUSIVE\n") {
		t.Errorf("the table was not drawn anew: %q", got)
	}
	if !v.board.full(boardFlags{decided: 3}) || v.board.full(boardFlags{decided: 4}) || v.board.full(boardFlags{}) {
		t.Error("full counts wrongly")
	}
}

func TestExitCodes(t *testing.T) {
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		err  error
		want int
		says string
	}{
		"done":      {t.Context(), nil, 0, ""},
		"usage":     {t.Context(), usagef("what?"), 2, "escrowctl: what?\n"},
		"error":     {t.Context(), fault.Invalidf("a.b", "bad").WithAdvice("do better"), 1, "escrowctl: a.b: bad (do better)\n"},
		"differs":   {t.Context(), codeError(exitDiffers), 3, ""},
		"stopped":   {stopped, context.Canceled, 1, "escrowctl: stopped; to go on: again\n"},
		"two lines": {t.Context(), errors.New("a\nb\x1b[31m"), 1, "escrowctl: a\\u000ab\\u001b[31m\n"},
	} {
		var out bytes.Buffer
		a := &app{Streams: Streams{Err: &out}, running: true, goOn: "again"}
		if got := a.finish(c.ctx, c.err); got != c.want || out.String() != c.says {
			t.Errorf("%s: %d, %q", name, got, out.String())
		}
	}
}
