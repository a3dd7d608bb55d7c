package rpc

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// Check asks whether something that services depend on works now.
type Check func(context.Context) error

const (
	healthEvery   = 5 * time.Second
	healthTimeout = 3 * time.Second
)

// Health serves grpc.health.v1: each service is SERVING while all that it depends on works, and "" while all services
// are.
type Health struct {
	server *health.Server
	needs  map[string][]Check // by full service name
}

// NewHealth registers the health service for services by their full names, each with what it depends on. All are
// NOT_SERVING until the first Poll.
func NewHealth(r grpc.ServiceRegistrar, needs map[string][]Check) *Health {
	h := &Health{server: health.NewServer(), needs: needs}
	h.set("", false)
	for name := range needs {
		h.set(name, false)
	}
	grpc_health_v1.RegisterHealthServer(r, h.server)
	return h
}

// Run polls until ctx ends.
func (h *Health) Run(ctx context.Context) {
	tick := time.NewTicker(healthEvery)
	defer tick.Stop()
	for {
		h.Poll(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Poll asks every check once.
func (h *Health) Poll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	all := true
	for name, checks := range h.needs {
		ok := healthy(ctx, checks)
		all = all && ok
		h.set(name, ok)
	}
	h.set("", all)
}

// Shutdown makes every service NOT_SERVING for good.
func (h *Health) Shutdown() { h.server.Shutdown() }

func healthy(ctx context.Context, checks []Check) bool {
	for _, check := range checks {
		if check(ctx) != nil {
			return false
		}
	}
	return true
}

func (h *Health) set(name string, ok bool) {
	state := grpc_health_v1.HealthCheckResponse_NOT_SERVING
	if ok {
		state = grpc_health_v1.HealthCheckResponse_SERVING
	}
	h.server.SetServingStatus(name, state)
}
