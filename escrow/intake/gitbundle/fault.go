package gitbundle

import (
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/intake/gitpack"
)

// ReasonIncomplete is the reason of errors that say that a part of the source is missing.
const ReasonIncomplete = gitpack.ReasonIncomplete

// Incompletef says that a part of the source is missing at that place.
func Incompletef(at, format string, args ...any) *fault.Error {
	return gitpack.Incompletef(at, format, args...)
}
