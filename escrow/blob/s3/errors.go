package s3

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

const (
	// callBound is how long one call with its retries may take, and slowestBytes what is added to it for each second's worth of bytes.
	callBound    = 90 * time.Second
	slowestBytes = 256 << 10
)

// bounded gives a call a time by which it ends.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, callBound)
}

// boundedFor gives a call the time that n bytes take on a slow line.
func boundedFor(ctx context.Context, n int64) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, callBound+time.Duration(n/slowestBytes)*time.Second)
}

// hasCode says whether the server answered with one of these codes.
func hasCode(err error, codes ...string) bool {
	var r minio.ErrorResponse
	return errors.As(err, &r) && slices.Contains(codes, r.Code)
}

// isPrecondition says whether a conditional write found another state than it asked for.
func isPrecondition(err error) bool {
	return hasCode(err, "PreconditionFailed", "ConditionalRequestConflict")
}

// fail says what did not work, where, and what to do; nil for no error.
func (s *Store) fail(op, key string, err error) error {
	switch {
	case err == nil:
		return nil
	case isFault(err), errors.Is(err, context.Canceled):
		return fmt.Errorf("%s %s: %w", op, s.place(key), err)
	}
	f := &fault.Error{Kind: fault.Unavailable, Reason: "UNAVAILABLE", Message: fmt.Sprintf("could not %s %s", op, s.place(key)), Err: err}
	switch {
	case hasCode(err, "NoSuchBucket"):
		return f.WithAdvice("the bucket is gone: see docs/object-storage.md")
	case hasCode(err, "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AllAccessDisabled"):
		return f.WithAdvice("check the access key and what it may do: see docs/object-storage.md")
	case isAnswer(err):
		return f.WithAdvice("see the S3 server's log; then try again")
	}
	return f.WithAdvice("see that the S3 server at %s runs and can be reached; then try again", s.core.EndpointURL().Host)
}

func (s *Store) place(key string) string { return s.bucket + "/" + key }

// spoilt is the error of a draft that another process has written to.
func spoilt(name object.Name) error {
	return &fault.Error{Kind: fault.Aborted, Reason: "ABORTED", Resource: name.String(),
		Message: fmt.Sprintf("the draft of %s was written to by another process", name), Advice: "ask how far it was brought, and go on from there"}
}

func isFault(err error) bool {
	var f *fault.Error
	return errors.As(err, &f)
}

// isAnswer says whether an error came from the server, and not from the way to it.
func isAnswer(err error) bool {
	var r minio.ErrorResponse
	return errors.As(err, &r)
}
