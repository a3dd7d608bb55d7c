package commands

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
	fileproblem "github.com/countersign-escrow/countersign/services/internal/problem"
)

// usageError says that the command line was not understood.
type usageError struct{ message string }

// Error returns what is wrong with it.
func (e usageError) Error() string { return e.message }

func usagef(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

// codeError ends the program with a code of its own and nothing more to say.
type codeError int

// Error is never shown.
func (e codeError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// finish tells how a command ended and returns the exit code.
func (a *app) finish(ctx context.Context, err error) int {
	var code codeError
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &code):
		return int(code)
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		a.tell(a.stopped())
		return exitError
	case errors.As(err, &usage) || !a.running:
		a.tell(problem{Message: err.Error(), Reason: "USAGE"})
		return exitUsage
	}
	a.tell(explain(err))
	return exitError
}

func (a *app) stopped() problem {
	p := problem{Message: "stopped", Reason: "STOPPED"}
	if a.goOn != "" {
		p.Advice = "to go on: " + a.goOn
	}
	return p
}

// problem is an error as programs read it.
type problem struct {
	Message  string               `json:"message"`
	Reason   string               `json:"reason,omitempty"`
	Field    string               `json:"field,omitempty"`
	Resource string               `json:"resource,omitempty"`
	Advice   string               `json:"advice,omitempty"`
	Problems fileproblem.Problems `json:"problems,omitempty"`
}

// explain takes apart what is known of an error.
func explain(err error) problem {
	p := problem{Message: err.Error()}
	var f *fault.Error
	var ps fileproblem.Problems
	var path *fs.PathError
	switch {
	case errors.As(err, &ps):
		p.Reason, p.Problems = "RELEASE_FILE", ps
	case errors.As(err, &f):
		p.Reason, p.Field, p.Resource, p.Advice = f.Reason, f.Field, f.Resource, f.Advice
	case errors.Is(err, context.DeadlineExceeded):
		p.Reason, p.Message, p.Advice = "DEADLINE", "the service took too long to answer", "try again"
	case errors.As(err, &path):
		p.Reason, p.Field, p.Message = "FILE", path.Path, fmt.Sprintf("%s: %v", path.Path, path.Err)
	}
	return p
}

// tell writes a problem to the error stream, as a line or as JSON.
func (a *app) tell(p problem) {
	if a.outputFlag == "json" {
		b, err := json.Marshal(map[string]problem{"error": p})
		if err == nil {
			fmt.Fprintln(a.Err, string(b))
			return
		}
	}
	switch {
	case len(p.Problems) > 0: // each line names its file
		for _, one := range p.Problems {
			fmt.Fprintln(a.Err, output.Clean(one.String()))
		}
	case p.Reason == "STOPPED" && p.Advice != "":
		fmt.Fprintf(a.Err, "escrowctl: stopped; %s\n", p.Advice)
	case p.Reason == "DEADLINE":
		fmt.Fprintf(a.Err, "escrowctl: %s (%s)\n", p.Message, p.Advice)
	default:
		fmt.Fprintf(a.Err, "escrowctl: %s\n", output.Clean(p.Message))
	}
}
