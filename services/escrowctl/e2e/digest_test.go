package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/client"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/profile"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/upload"
)

// silent is an upload's progress that nobody watches.
type silent struct{}

func (silent) Plan(int, int64) {}
func (silent) Sent(int64)      {}
func (silent) Resumed(int64)   {}
func (silent) Note(string)     {}

type memory struct{ *bytes.Reader }

func (memory) Close() error { return nil }

// wrong PROFILE uploads bytes under the digest of others, and prints what the service answers. With ! that is expected.
func wrongDigest(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: wrong PROFILE")
	}
	p, err := profile.Load(ts.MkAbs("config/countersign/profiles/" + args[0]))
	ts.Check(err)
	c, err := client.Dial(p)
	ts.Check(err)
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	sent := []byte("these bytes")
	s := upload.Sender{Service: c.Deposit, Vendor: p.Organization, Progress: silent{}}
	_, err = s.Send(ctx, []upload.Blob{{Name: "liar", Digest: digest.Of([]byte("other bytes")), Size: int64(len(sent)),
		Open: func() (upload.Content, error) { return memory{bytes.NewReader(sent)}, nil }}})
	if (err != nil) != neg {
		ts.Fatalf("answered %v", err)
	}
	fmt.Fprintln(ts.Stderr(), err)
}
