package e2e_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// inFlight is the most that can be under way between client and service, and so be lost with a connection: the windows of
// HTTP/2 and the buffers of both machines. savedEvery is the most that a service which dies can lose beside that.
const (
	inFlight   = 8 << 20
	savedEvery = 64 << 20
)

// transfers is a service with a vendor, and a lab with a grant, that both reach it by a wire of their own.
type transfers struct {
	*crash
	wire *wire
}

func newTransfers(t *testing.T) *transfers {
	t.Parallel()
	x := &transfers{crash: newCrash(t, false)}
	x.join("data/operator", x.address, "lab", "evaluator", "FI")
	x.ctl("", "--profile", x.path("acme"), "grant", "create", "--grantee", "lab", "--product", "widget", "--until", "90d")
	x.connect(&wire{T: t})
	return x
}

// connect lays a wire, over which the profiles acme-wire and lab-wire lead from now on.
func (x *transfers) connect(w *wire) {
	x.Helper()
	w.to = x.address
	w.listen()
	x.wire = w
	for _, who := range []string{"acme", "lab"} {
		x.copyProfile(who, who+"-wire", w.address)
	}
}

// release lays a signed release with an artifact of so many bytes of noise.
func (x *transfers) release(version string, size int) (folder string, artifact []byte) {
	x.Helper()
	artifact = make([]byte, size)
	var seed [32]byte
	copy(seed[:], version)
	_, _ = rand.NewChaCha8(seed).Read(artifact) // it never fails
	if err := x.prepare(version, string(artifact)); err != nil {
		x.Fatal(err)
	}
	return folderOf(version), artifact
}

// ctlCommand prepares escrowctl for a run that is not waited for at once.
func (x *transfers) ctlCommand(folder string, args ...string) (*exec.Cmd, *bytes.Buffer) {
	cmd := exec.Command(filepath.Join(programs, "escrowctl"), args...)
	cmd.Dir = x.path(folder)
	cmd.Env = append(os.Environ(), "HOME="+x.dir, "XDG_CONFIG_HOME="+x.path("config"))
	said := new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = said, said
	return cmd, said
}

// run runs escrowctl, which must end well, and returns what it said on both streams.
func (x *transfers) run(folder string, args ...string) string {
	x.Helper()
	cmd, said := x.ctlCommand(folder, args...)
	if err := cmd.Run(); err != nil {
		x.Fatalf("escrowctl %s: %v\n%s", strings.Join(args, " "), err, said)
	}
	return said.String()
}

// interrupt runs escrowctl and kills it when so much has passed over the wire since, or lets it end.
func (x *transfers) interrupt(after int64, folder string, args ...string) (ended bool) {
	x.Helper()
	cmd, said := x.ctlCommand(folder, args...)
	begun := x.wire.up.Load() + x.wire.down.Load()
	if err := cmd.Start(); err != nil {
		x.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case err := <-done:
			if err != nil {
				x.Fatalf("escrowctl %s: %v\n%s", strings.Join(args, " "), err, said)
			}
			return true
		case <-time.After(2 * time.Millisecond):
		}
		if x.wire.up.Load()+x.wire.down.Load()-begun >= after {
			_ = cmd.Process.Kill() // it may have ended just now
			return <-done == nil
		}
	}
}

// cutsAfter cuts the first so many connections, each after a random number of bytes.
func cutsAfter(times int, least, most int64) func() int64 {
	var mu sync.Mutex
	return func() int64 {
		mu.Lock()
		defer mu.Unlock()
		if times == 0 {
			return -1
		}
		times--
		return least + rand.Int64N(most-least)
	}
}

// bounded checks how much passed, and says it.
func (x *transfers) bounded(who string, faults int, most int64) {
	x.Helper()
	passed := x.wire.up.Load()
	x.Logf("TRANSFER %s faults=%d sent=%d bytes, %d at most", who, faults, passed, most+most/50)
	if passed > most+most/50 { // TLS and HTTP/2 take their share
		x.Errorf("%d bytes were sent, %d at most", passed, most)
	}
}
