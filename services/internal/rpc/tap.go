package rpc

import (
	"context"

	"google.golang.org/grpc/tap"
)

// turnAway refuses a stranger's call before a byte of its message is read: a message may take as much memory as
// MaxMessage says, and nobody is known to answer for it.
func turnAway(ctx context.Context, info *tap.Info) (context.Context, error) {
	if certificateOf(ctx) != nil {
		return ctx, nil
	}
	return ctx, authorize(info.FullMethodName, Identity{}, false)
}
