// Package rpcfault turns domain errors into gRPC statuses and back, for servers and clients alike.
// It knows nothing of the calls they belong to.
package rpcfault

import (
	"context"
	"errors"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// Domain is the domain of the ErrorInfo in every status.
const Domain = "countersign"

// ResourceKey is the key in ErrorInfo's metadata under which the resource's name stands.
const ResourceKey = "resource"

var toCode = map[fault.Kind]codes.Code{
	fault.Internal:     codes.Internal,
	fault.Invalid:      codes.InvalidArgument,
	fault.NotFound:     codes.NotFound,
	fault.Exists:       codes.AlreadyExists,
	fault.Precondition: codes.FailedPrecondition,
	fault.Denied:       codes.PermissionDenied,
	fault.Exhausted:    codes.ResourceExhausted,
	fault.Corrupt:      codes.DataLoss,
	fault.Unavailable:  codes.Unavailable,
	fault.Aborted:      codes.Aborted,
}

var toKind = map[codes.Code]fault.Kind{
	codes.InvalidArgument:    fault.Invalid,
	codes.OutOfRange:         fault.Invalid,
	codes.NotFound:           fault.NotFound,
	codes.AlreadyExists:      fault.Exists,
	codes.FailedPrecondition: fault.Precondition,
	codes.PermissionDenied:   fault.Denied,
	codes.Unauthenticated:    fault.Denied,
	codes.ResourceExhausted:  fault.Exhausted,
	codes.DataLoss:           fault.Corrupt,
	codes.Unavailable:        fault.Unavailable,
	codes.Aborted:            fault.Aborted,
}

// What a status may hold, in bytes. It travels in HTTP/2 headers, some of it twice, and clients take 8 KiB of those.
const (
	longestMessage = 800
	longestAdvice  = 500
	longestName    = 300 // of a field or a resource
)

// reasons stand in where a domain error names none.
var reasons = map[fault.Kind]string{
	fault.Invalid:      "INVALID_ARGUMENT",
	fault.NotFound:     "NOT_FOUND",
	fault.Exists:       "ALREADY_EXISTS",
	fault.Precondition: "FAILED_PRECONDITION",
	fault.Denied:       "PERMISSION_DENIED",
	fault.Exhausted:    "LIMIT_EXCEEDED",
	fault.Corrupt:      "CORRUPT",
	fault.Unavailable:  "UNAVAILABLE",
	fault.Aborted:      "ABORTED",
}

// ToStatus turns a domain error, a status or the end of a context into a status. False means that err is none of these,
// or an internal failure: it must be logged and shown to nobody.
func ToStatus(err error) (*status.Status, bool) {
	var f *fault.Error
	if errors.As(err, &f) && toCode[f.Kind] != codes.Internal {
		return Detailed(toCode[f.Kind], f), true
	}
	if errors.Is(err, context.Canceled) {
		return status.New(codes.Canceled, "the call was cancelled"), true
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return status.New(codes.DeadlineExceeded, "the call took longer than its deadline"), true
	}
	if st, ok := status.FromError(err); ok && st.Code() != codes.Unknown && st.Code() != codes.Internal {
		return st, true
	}
	return nil, false
}

// Detailed makes a status of that code that carries what f says. What lies beneath f is not shown: it may speak of
// files and machines that are nobody's business, except where the input is at fault, for then it says what is wrong.
func Detailed(code codes.Code, f *fault.Error) *status.Status {
	message := f.Message
	if f.Kind == fault.Invalid && f.Err != nil {
		message += ": " + f.Err.Error()
	}
	message = clip(message, longestMessage)
	line := message
	if f.Field != "" {
		line = clip(f.Field, longestName) + ": " + line
	}
	st, err := status.New(code, line).WithDetails(details(f, message)...)
	if err != nil { // only for codes.OK
		return status.New(code, line)
	}
	return st
}

func details(f *fault.Error, message string) []protoadapt.MessageV1 {
	info := &errdetails.ErrorInfo{Reason: f.Reason, Domain: Domain}
	if info.Reason == "" {
		info.Reason = reasons[f.Kind]
	}
	if f.Resource != "" {
		info.Metadata = map[string]string{ResourceKey: clip(f.Resource, longestName)}
	}
	list := []protoadapt.MessageV1{info}
	if f.Field != "" {
		list = append(list, &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
			{Field: clip(f.Field, longestName), Description: message},
		}})
	}
	if f.Advice != "" {
		list = append(list, &errdetails.LocalizedMessage{Locale: "en", Message: clip(f.Advice, longestAdvice)})
	}
	return list
}

// clip cuts a text to most bytes, between two characters.
func clip(s string, most int) string {
	const mark = "…"
	if len(s) <= most {
		return s
	}
	end := most - len(mark)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + mark
}

// FromStatus turns a status that a server sent back into the domain error that it was made from. An error that is no
// status is returned as it is.
func FromStatus(err error) error {
	st, ok := status.FromError(err)
	if err == nil || !ok {
		return err
	}
	switch st.Code() {
	case codes.Canceled:
		return context.Canceled
	case codes.DeadlineExceeded:
		return context.DeadlineExceeded
	}
	f := &fault.Error{Kind: fault.Internal, Message: st.Message(), Reason: st.Code().String()}
	if k, ok := toKind[st.Code()]; ok {
		f.Kind, f.Reason = k, reasons[k]
	}
	for _, d := range st.Details() {
		takeDetail(f, d)
	}
	return f
}

func takeDetail(f *fault.Error, detail any) {
	switch d := detail.(type) {
	case *errdetails.ErrorInfo:
		if d.GetDomain() == Domain {
			f.Reason, f.Resource = d.GetReason(), d.GetMetadata()[ResourceKey]
		}
	case *errdetails.BadRequest:
		if v := d.GetFieldViolations(); len(v) > 0 {
			f.Field, f.Message = v[0].GetField(), v[0].GetDescription()
		}
	case *errdetails.LocalizedMessage:
		f.Advice = d.GetMessage()
	}
}
