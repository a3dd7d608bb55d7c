package e2e_test

import (
	"io"
	"net"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

type proxyKey struct{}

// proxy stands between client and service and stops passing on what the client sends after a number of bytes, so that a
// client can be killed in the middle of an upload.
type proxy struct {
	stalled chan struct{}
	once    sync.Once
}

// proxy MIB starts it; $PROXY is its address.
func startProxy(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: proxy MIB")
	}
	most, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { listener.Close() })
	ts.Setenv("PROXY", listener.Addr().String())
	p := ts.Value(proxyKey{}).(*proxy)
	p.stalled = make(chan struct{})
	to := ts.Getenv("ADDRESS")
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go p.pass(client, to, most<<20)
		}
	}()
}

func (p *proxy) pass(client net.Conn, to string, most int64) {
	defer client.Close()
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		if n, _ := io.CopyN(server, client, most); n == most {
			p.once.Do(func() { close(p.stalled) })
			_, _ = io.Copy(io.Discard, client) // until the client is gone, as the service then learns
		}
		server.Close()
	}()
	_, _ = io.Copy(client, server)
}

// killed COMMAND… runs a command, waits until the proxy stalls, and kills it.
func killed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: killed COMMAND…")
	}
	cmd := exec.Command(programs+"/"+args[0], args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = []string{"HOME=" + ts.Getenv("HOME"), "XDG_CONFIG_HOME=" + ts.Getenv("XDG_CONFIG_HOME")}
	ts.Check(cmd.Start())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait()
	}()
	defer func() { <-done }()
	select {
	case <-ts.Value(proxyKey{}).(*proxy).stalled:
		time.Sleep(200 * time.Millisecond) // what is under way arrives
		ts.Check(cmd.Process.Signal(syscall.SIGKILL))
	case <-done:
		ts.Fatalf("%s ended by itself", args[0])
	case <-time.After(startTime):
		_ = cmd.Process.Kill()
		ts.Fatalf("the proxy did not stall within %s", startTime)
	}
}
