package gitpack

import (
	"errors"
	"fmt"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/intake/gitpack/inflate"
)

// ReasonIncomplete is the reason of errors that say that a part of the source is missing.
const ReasonIncomplete = "SOURCE_INCOMPLETE"

// Incompletef says that a part of the source is missing at that place.
func Incompletef(at, format string, args ...any) *fault.Error {
	return &fault.Error{Kind: fault.Precondition, Reason: ReasonIncomplete, Field: at, Message: fmt.Sprintf(format, args...)}
}

const wholePack = "pack everything that the objects refer to: from a full clone, not from a shallow or partial one"

// place names the object that begins at off.
func place(off int64) string { return fmt.Sprintf("pack object at byte %d", off) }

// undecodable says what is wrong with an object's data, unless err is a failure to read the file.
func undecodable(at string, err error) error {
	for _, known := range []error{inflate.ErrCut, inflate.ErrFormat, inflate.ErrLonger, inflate.ErrShorter, inflate.ErrChecksum} {
		if errors.Is(err, known) {
			return fault.Invalidf(at, "its data is malformed: %v", known)
		}
	}
	return err
}
