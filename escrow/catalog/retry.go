package catalog

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// How often an update that meets others is tried: a few times at once with all others; then in the lane, where those that
// were unlucky go one after the other; then alone in this process. Where many change the same row, those in the lane would
// else lose to newcomers again and again.
const (
	freeTries  = 3
	laneTries  = 3
	aloneTries = 20
)

// again runs an update until it has met no other one.
func (c *Catalog) again(ctx context.Context, update func(beginner) error) error {
	if c.dialect.lane == nil {
		return update(c.db)
	}
	err := repeat(ctx, freeTries, func() error { return c.dialect.lane.beside(func() error { return update(c.db) }) })
	if troubleOf(err) != conflict {
		return err
	}
	return c.inLane(ctx, update)
}

func (c *Catalog) inLane(ctx context.Context, update func(beginner) error) error {
	lane := c.dialect.lane
	leave, conn, err := lane.enter(ctx, c.db)
	if err != nil {
		return explain("waiting for other changes", err)
	}
	defer leave()
	err = repeat(ctx, laneTries, func() error { return lane.beside(func() error { return update(conn) }) })
	if troubleOf(err) == conflict {
		err = lane.alone(func() error { return repeat(ctx, aloneTries, func() error { return update(conn) }) })
	}
	if troubleOf(err) != conflict {
		return err
	}
	return &fault.Error{Kind: fault.Unavailable, Reason: "DATABASE_BUSY",
		Message: "too much is changed at the same time", Advice: "try again in a moment", Err: errors.Unwrap(err)}
}

// repeat runs an update several times at most, as long as it meets others.
func repeat(ctx context.Context, times int, update func() error) error {
	var err error
	for n := range times {
		if err = update(); troubleOf(err) != conflict {
			return err
		}
		if err := pause(ctx, n); err != nil {
			return err
		}
	}
	return err
}

// pause waits a little longer after each try, up to 100 ms, each caller for a time of its own.
func pause(ctx context.Context, n int) error {
	most := time.Millisecond << min(n+1, 7)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(rand.N(min(most, 100*time.Millisecond))):
		return nil
	}
}
