package rpc

import (
	"context"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

// Identity is who calls: a member of an organization, known by a client certificate.
type Identity struct {
	Organization resource.Organization
	Kind         catalog.Kind
	Member       string
	Serial       string // of the certificate, lower-case hexadecimal
}

type identityKey struct{}

// WithCaller returns a context in which id calls.
func WithCaller(ctx context.Context, id Identity) context.Context {
	return context.WithValue(ctx, identityKey{}, id)
}

// Caller returns who calls; false where nobody is known, as in a call made without a certificate.
func Caller(ctx context.Context) (Identity, bool) {
	id, ok := ctx.Value(identityKey{}).(Identity)
	return id, ok
}

// MustCaller returns who calls. The interceptors let no other call through to a method that needs a caller, so that it
// panics only where a method is wired without them.
func MustCaller(ctx context.Context) Identity {
	id, ok := Caller(ctx)
	if !ok {
		panic("rpc: no caller in the context")
	}
	return id
}

// RequireSelf denies whoever does not call for org itself. The wording is the same whether org exists or not.
func RequireSelf(ctx context.Context, org resource.Organization) error {
	if id, ok := Caller(ctx); ok && id.Organization == org {
		return nil
	}
	return fault.Deniedf("NOT_YOURS", "%s is not the organization that you call for", org).
		WithAdvice("use the profile of a member of %s", org)
}
