package rpc

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// Timestamp writes a time; the zero time is not given.
func Timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// Time reads the time in a field, to the microsecond, as the catalog keeps times; one that is not given is zero.
func Time(field string, t *timestamppb.Timestamp) (time.Time, error) {
	if t == nil {
		return time.Time{}, nil
	}
	if err := t.CheckValid(); err != nil {
		return time.Time{}, fault.Invalidf(field, "is no valid time: %v", err)
	}
	return t.AsTime().Truncate(time.Microsecond), nil
}

// Name reads the resource name in a field with one of the parsers of package resource.
func Name[T any](field, name string, parse func(string) (T, error)) (T, error) {
	t, err := parse(name)
	if err != nil {
		return t, fault.Invalidf(field, "%v", err)
	}
	return t, nil
}
