// Package fault holds the typed errors of the domain: what went wrong, with which resource or field, and what to do next.
// It knows nothing of RPC codes; the services turn kinds into codes in one place.
package fault

import (
	"errors"
	"fmt"
)

// Kind says what sort of error it is, and so whose turn it is to act.
type Kind int

// The kinds.
const (
	Internal     Kind = iota // our own failure; never shown in detail to callers
	Invalid                  // the input is wrong: change it
	NotFound                 // there is no such thing, or the caller may not know of it
	Exists                   // there is one already
	Precondition             // the state does not allow it now
	Denied                   // the caller may not
	Exhausted                // a limit was reached
	Corrupt                  // stored bytes are not what they were
	Unavailable              // try again later
	Aborted                  // lost a race: start over
)

// Error is a domain error.
type Error struct {
	Kind     Kind
	Reason   string // stable, UPPER_SNAKE_CASE, for programs
	Resource string // the resource name concerned, if any
	Field    string // the field or the file and place concerned, if any
	Message  string // for people: what is wrong
	Advice   string // for people: what to do next
	Err      error  // what lies beneath, if anything
}

// Error returns message, place and advice in one line.
func (e *Error) Error() string {
	s := e.Message
	if e.Field != "" {
		s = e.Field + ": " + s
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Advice != "" {
		s += " (" + e.Advice + ")"
	}
	return s
}

// Unwrap returns what lies beneath.
func (e *Error) Unwrap() error { return e.Err }

// WithAdvice says what to do next.
func (e *Error) WithAdvice(format string, args ...any) *Error {
	e.Advice = fmt.Sprintf(format, args...)
	return e
}

// Invalidf says that a field of the input is wrong.
func Invalidf(field, format string, args ...any) *Error {
	return &Error{Kind: Invalid, Reason: "INVALID_ARGUMENT", Field: field, Message: fmt.Sprintf(format, args...)}
}

// NoSuch says that there is no such resource.
func NoSuch(resource string) *Error {
	return &Error{Kind: NotFound, Reason: "NOT_FOUND", Resource: resource, Message: fmt.Sprintf("%s does not exist", resource)}
}

// AlreadyExists says that there is one already.
func AlreadyExists(resource string) *Error {
	return &Error{Kind: Exists, Reason: "ALREADY_EXISTS", Resource: resource, Message: fmt.Sprintf("%s exists already", resource)}
}

// Preconditionf says that the state does not allow it.
func Preconditionf(reason, resource, format string, args ...any) *Error {
	return &Error{Kind: Precondition, Reason: reason, Resource: resource, Message: fmt.Sprintf(format, args...)}
}

// Deniedf says that the caller may not.
func Deniedf(reason, format string, args ...any) *Error {
	return &Error{Kind: Denied, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// Exhaustedf says that a limit was reached.
func Exhaustedf(field, format string, args ...any) *Error {
	return &Error{Kind: Exhausted, Reason: "LIMIT_EXCEEDED", Field: field, Message: fmt.Sprintf(format, args...)}
}

// Corruptf says that bytes are not what they should be.
func Corruptf(resource, format string, args ...any) *Error {
	return &Error{Kind: Corrupt, Reason: "CORRUPT", Resource: resource, Message: fmt.Sprintf(format, args...)}
}

// KindOf returns the kind of the first domain error in err's chain, Internal where there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Is says whether err is a domain error of that kind.
func Is(err error, k Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == k
}
