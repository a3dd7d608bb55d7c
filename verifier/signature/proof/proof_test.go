package proof

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
)

func TestLife(t *testing.T) {
	at := func(h int) time.Time { return time.Date(2026, 3, 1, h, 0, 0, 0, time.UTC) }
	for name, c := range map[string]struct {
		l    Life
		at   time.Time
		want string
	}{
		"for ever":      {Life{}, at(5), ""},
		"too early":     {Life{From: at(6)}, at(5), "good only from"},
		"inside":        {Life{From: at(5), Until: at(6)}, at(5), ""},
		"expired":       {Life{From: at(5), Until: at(6)}, at(6), "expired at 2026-03-01T06:00:00Z"},
		"before":        {Life{Revoked: at(6)}, at(5), ""},
		"revoked":       {Life{Revoked: at(6)}, at(6), "was revoked at"},
		"compromised":   {Life{Compromised: true}, at(1), "compromised"},
		"expired first": {Life{Until: at(3), Revoked: at(4)}, at(5), "revoked"},
	} {
		if got := c.l.Problem(c.at); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestAllowed(t *testing.T) {
	for w, u := range map[Weakness]anchor.Unsafe{MD5: {MD5: true}, SHA1: {SHA1: true}, ShortRSA: {ShortRSA: true}} {
		for other := range map[Weakness]bool{MD5: true, SHA1: true, ShortRSA: true, "another": true} {
			if got := other.Allowed(u); got != (other == w) {
				t.Errorf("%s with %+v: %t", other, u, got)
			}
		}
	}
}

func TestReadEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f := Bytes(Source, "src", []byte("the source"))
	err := f.Read(ctx, func(r io.Reader) error {
		if _, err := r.Read(make([]byte, 3)); err != nil {
			return err
		}
		cancel()
		_, err := io.ReadAll(r)
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestAll(t *testing.T) {
	f := Bytes(Source, "src", []byte("the source"))
	if b, err := f.All(t.Context(), 10); err != nil || string(b) != "the source" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := f.All(t.Context(), 9); err == nil || !strings.Contains(err.Error(), "10 bytes, 9 at most") {
		t.Errorf("%v", err)
	}
}
