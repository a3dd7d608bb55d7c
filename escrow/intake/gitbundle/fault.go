package gitbundle

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// ReasonIncomplete is the reason of errors that say that a part of the source is missing.
const ReasonIncomplete = "SOURCE_INCOMPLETE"

// Incompletef says that a part of the source is missing at that place.
func Incompletef(at, format string, args ...any) *fault.Error {
	return &fault.Error{Kind: fault.Precondition, Reason: ReasonIncomplete, Field: at, Message: fmt.Sprintf(format, args...)}
}

const fullBundle = "bundle the full history: git bundle create FILE TAG, in a full clone, without exclusions"

// malformed says that the pack cannot be read at that place, unless err is a failure of our own.
func malformed(at string, err error) error {
	var domain *fault.Error
	var own *fs.PathError
	var stop *stopped
	switch {
	case errors.As(err, &stop):
		return stop.cause
	case errors.As(err, &domain), errors.As(err, &own):
		return err
	}
	e := fault.Invalidf(at, "cannot be read")
	e.Err = err
	return e
}

// stopped carries the reason for calling off through go-git.
type stopped struct{ cause error }

func (s *stopped) Error() string { return s.cause.Error() }
func (s *stopped) Unwrap() error { return s.cause }
