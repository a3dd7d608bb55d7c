package lifecycle

import (
	"context"
	"time"
)

// Periodic is a part that calls f when it starts and then time and again in the background, never twice at once. F must
// return soon after its context ends, which it does at the part's stop.
func Periodic(name string, interval time.Duration, f func(context.Context)) Component {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	return Component{
		Name: name,
		Start: func(context.Context) error {
			go func() {
				defer close(ended)
				repeat(ctx, interval, f)
			}()
			return nil
		},
		Stop: func(stop context.Context) error {
			cancel()
			select {
			case <-ended:
				return nil
			case <-stop.Done():
				return stop.Err()
			}
		},
	}
}

func repeat(ctx context.Context, interval time.Duration, f func(context.Context)) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for ctx.Err() == nil {
		f(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
