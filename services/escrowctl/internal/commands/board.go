package commands

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/countersign-escrow/countersign/escrow/fault"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/client"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/profile"
)

type boardFlags struct {
	profiles []string
	releases int
	decided  int
	timeout  time.Duration
}

func (a *app) boardCommand() *cobra.Command {
	var f boardFlags
	c := &cobra.Command{
		Use:   "board --profile A --profile B …",
		Short: "A live table of release × country over several labs' profiles",
		Long: `Follow the reports of several labs at once. Each report that says something new is printed as it arrives,

    REPORT <product>/<version> <country> <DECISION>

and at the end a table of release × country. On a terminal the table stands below and is kept up to date. It ends when
--releases releases are decided everywhere, or --until-decided reports other than PENDING stand; else when it is stopped.`,
		Example: `  escrowctl report board --profile lab-fi --profile lab-pl --profile lab-jp
  escrowctl report board --profile lab-fi --profile lab-pl --releases 3 --timeout 5m`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(f.profiles) == 0 {
				f.profiles = []string{""}
			}
			return a.board(cmd.Context(), f)
		},
	}
	c.Flags().StringArrayVar(&f.profiles, "profile", nil, "profile of a lab; repeat it for each")
	c.Flags().IntVar(&f.releases, "releases", 0, "end when so many releases are decided in every country")
	c.Flags().IntVar(&f.decided, "until-decided", 0, "end when so many reports other than PENDING stand")
	c.Flags().DurationVar(&f.timeout, "timeout", 0, "give up after so long (default never)")
	return c
}

func (a *app) board(ctx context.Context, f boardFlags) error {
	clients, err := dialAll(f.profiles)
	defer func() {
		for _, c := range clients {
			c.Close()
		}
	}()
	if err != nil {
		return err
	}
	labs, err := countries(ctx, clients)
	if err != nil {
		return err
	}
	b := newBoard(labs)
	view := &boardView{app: a, board: b, live: terminal(a.Out) && a.outputFlag == "text"}
	err = a.fill(ctx, f, clients, b, view)
	return errors.Join(err, view.end())
}

func dialAll(names []string) ([]*client.Client, error) {
	var clients []*client.Client
	for _, name := range names {
		p, err := profile.Load(name)
		if err != nil {
			return clients, err
		}
		c, err := client.Dial(p)
		if err != nil {
			return clients, fmt.Errorf("%s: %w", p.Path, err)
		}
		clients = append(clients, c)
	}
	return clients, nil
}

// countries asks for the head of each column: the country, and the lab where two are of one country.
func countries(ctx context.Context, clients []*client.Client) ([]string, error) {
	labs, seen := make([]string, len(clients)), make(map[string]int)
	for i, c := range clients {
		resp, err := c.Directory.GetOrganization(ctx, &pb.GetOrganizationRequest{Name: c.Profile.Organization.String()})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Profile.Organization, err)
		}
		labs[i] = resp.GetOrganization().GetCountry()
		seen[labs[i]]++
	}
	for i, c := range clients {
		if seen[labs[i]] > 1 {
			labs[i] += "(" + c.Profile.Organization.ID + ")"
		}
	}
	return labs, nil
}

var errFull = errors.New("the board is full")

// fill follows all labs at once until the board is full, the time is up, or a lab fails.
func (a *app) fill(ctx context.Context, f boardFlags, clients []*client.Client, b *board, view *boardView) error {
	if f.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, f.timeout, fault.Preconditionf("TIMEOUT", "", "the board was not full after %s", f.timeout))
		defer cancel()
	}
	group, inner := errgroup.WithContext(ctx)
	for column, c := range clients {
		group.Go(func() error {
			return followReports(inner, view.away, c, 0, func(r *pb.Report) (bool, error) {
				return false, view.take(f, column, r)
			})
		})
	}
	err := group.Wait()
	if errors.Is(err, errFull) {
		return nil
	}
	if f.timeout > 0 && errors.Is(err, context.DeadlineExceeded) {
		<-ctx.Done() // a service whose clock is a little ahead says so before it is so here
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// board is what each lab says of each release.
type board struct {
	labs     []string
	releases []string // by name
	cells    map[string][]pb.Decision
}

func newBoard(labs []string) *board {
	return &board{labs: labs, cells: make(map[string][]pb.Decision)}
}

// set notes a lab's word on a release and says whether it is another than before.
func (b *board) set(release string, column int, d pb.Decision) (isNew bool) {
	if b.cells[release] == nil {
		b.cells[release] = make([]pb.Decision, len(b.labs))
		b.releases = append(b.releases, release)
		slices.Sort(b.releases)
	}
	isNew = b.cells[release][column] != d
	b.cells[release][column] = d
	return isNew
}

func decided(d pb.Decision) bool {
	return d != pb.Decision_DECISION_UNSPECIFIED && d != pb.Decision_DECISION_PENDING
}

// full says whether there is nothing left to wait for.
func (b *board) full(f boardFlags) bool {
	releases, cells := 0, 0
	for _, row := range b.cells {
		n := 0
		for _, d := range row {
			if decided(d) {
				n++
			}
		}
		cells += n
		if n == len(row) {
			releases++
		}
	}
	return f.releases > 0 && releases >= f.releases || f.decided > 0 && cells >= f.decided
}

func (b *board) rows() [][]string {
	rows := make([][]string, len(b.releases))
	for i, r := range b.releases {
		rows[i] = []string{output.Release(r)}
		for _, d := range b.cells[r] {
			rows[i] = append(rows[i], decision(d))
		}
	}
	return rows
}
