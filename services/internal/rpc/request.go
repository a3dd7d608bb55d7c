package rpc

import (
	"context"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

// Repeatable is a request that a client may repeat without harm (AIP-155).
type Repeatable interface {
	proto.Message
	GetRequestId() string
}

// Request identifies a repeatable request of the caller's, for the catalog to remember. The fingerprint is over the
// whole request: the same id may not come with another one.
func Request(ctx context.Context, r Repeatable) (catalog.Request, error) {
	id := r.GetRequestId()
	if id == "" {
		return catalog.Request{}, nil
	}
	if uuid.Validate(id) != nil {
		return catalog.Request{}, fault.Invalidf("request_id", "must be a UUID")
	}
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(r)
	if err != nil {
		return catalog.Request{}, err
	}
	return catalog.Request{
		Organization: MustCaller(ctx).Organization,
		Method:       string(r.ProtoReflect().Descriptor().FullName()),
		ID:           id,
		Fingerprint:  digest.Of(raw),
	}, nil
}
