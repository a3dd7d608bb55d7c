package rpcfault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

func TestThereAndBack(t *testing.T) {
	for code, f := range map[codes.Code]*fault.Error{
		codes.InvalidArgument:    fault.Invalidf("release.files[2].path", "is absolute").WithAdvice("make it relative"),
		codes.NotFound:           fault.NoSuch("organizations/acme"),
		codes.AlreadyExists:      fault.AlreadyExists("organizations/acme"),
		codes.FailedPrecondition: fault.Preconditionf("RELEASE_SEALED", "organizations/acme/products/p/releases/1", "is sealed"),
		codes.PermissionDenied:   fault.Deniedf("NOT_YOURS", "not yours").WithAdvice("use another profile"),
		codes.ResourceExhausted:  fault.Exhaustedf("files", "too many"),
		codes.DataLoss:           fault.Corruptf("sha256:00", "changed on disk"),
		codes.Unavailable:        {Kind: fault.Unavailable, Message: "later"},
		codes.Aborted:            {Kind: fault.Aborted, Reason: "LEASE_LOST", Message: "lost"},
	} {
		st, ok := ToStatus(fmt.Errorf("while at it: %w", f))
		if !ok || st.Code() != code {
			t.Errorf("%v: status %v, %t; want %v", f, st, ok, code)
			continue
		}
		var got *fault.Error
		if !errors.As(FromStatus(st.Err()), &got) {
			t.Errorf("%v: comes back as %v", f, FromStatus(st.Err()))
			continue
		}
		want := *f
		if want.Reason == "" {
			want.Reason = reasons[f.Kind]
		}
		if *got != want {
			t.Errorf("sent %+v\n got %+v", want, *got)
		}
	}
}

func TestWhatLiesBeneathIsNotShown(t *testing.T) {
	f := fault.NoSuch("organizations/acme")
	f.Err = errors.New("/var/lib/secret")
	st, _ := ToStatus(f)
	if s := fmt.Sprint(st.Proto()); strings.Contains(s, "secret") {
		t.Errorf("status tells %s", s)
	}
	bad := fault.Invalidf("policy", "does not compile")
	bad.Err = errors.New("line 3: no such rule")
	if st, _ := ToStatus(bad); !strings.Contains(st.Message(), "line 3") {
		t.Errorf("status %q does not tell what is wrong with the input", st.Message())
	}
}

func TestInternalFailuresAreNotOurs(t *testing.T) {
	for _, err := range []error{
		errors.New("disk"),
		&fault.Error{Kind: fault.Internal, Message: "disk"},
		status.Error(codes.Internal, "disk"),
		status.Error(codes.Unknown, "disk"),
	} {
		if st, ok := ToStatus(err); ok {
			t.Errorf("%v became %v", err, st)
		}
	}
}

func TestContexts(t *testing.T) {
	for err, code := range map[error]codes.Code{
		context.Canceled:         codes.Canceled,
		context.DeadlineExceeded: codes.DeadlineExceeded,
	} {
		st, ok := ToStatus(fmt.Errorf("read: %w", err))
		if !ok || st.Code() != code || !errors.Is(FromStatus(st.Err()), err) {
			t.Errorf("%v: status %v, back %v", err, st, FromStatus(st.Err()))
		}
	}
}

func TestOtherErrorsPass(t *testing.T) {
	plain := errors.New("no status")
	if got := FromStatus(plain); got != plain {
		t.Errorf("got %v", got)
	}
	if got := FromStatus(nil); got != nil {
		t.Errorf("got %v", got)
	}
	if got := FromStatus(status.Error(codes.Unimplemented, "no")); fault.KindOf(got) != fault.Internal {
		t.Errorf("got %v", got)
	}
}

// A status travels in headers, and a client that takes 8 KiB of those must get it.
func TestStatusesAreBounded(t *testing.T) {
	long := strings.Repeat("ä", 100_000)
	f := fault.Invalidf(long, "%s", long).WithAdvice("%s", long)
	f.Resource = long
	st, _ := ToStatus(f)
	raw, err := proto.Marshal(st.Proto())
	if err != nil {
		t.Fatal(err)
	}
	const percentEncoded, base64 = 3, 4.0 / 3
	if n := percentEncoded*len(st.Message()) + int(base64*float64(len(raw))); n > 8000 {
		t.Errorf("the status takes %d bytes of header", n)
	}
	if !utf8.ValidString(st.Message()) || !strings.HasSuffix(st.Message(), "ä…") {
		t.Errorf("message ends with %q", st.Message()[len(st.Message())-8:])
	}
}
