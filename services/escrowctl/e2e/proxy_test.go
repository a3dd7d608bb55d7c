package e2e_test

import (
	"io"
	"net"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
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

// wire is a network between client and service that can be cut, stalled and slowed down while it carries something.
type wire struct {
	*testing.T
	address string // where clients connect
	to      string // where the service listens
	perTick int64  // bytes in either direction of a connection that pass every 10 ms; 0 for no bound
	// cut tells after how many bytes a connection breaks, counted in both directions; negative for never.
	cut func() int64

	stalled  atomic.Bool  // nothing passes any more
	up, down atomic.Int64 // bytes that passed
	cuts     atomic.Int64 // connections that were cut
}

func (w *wire) listen() {
	w.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.Fatal(err)
	}
	w.address = listener.Addr().String()
	w.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go w.carry(client)
		}
	}()
}

// carry passes on what both sides send, until one of them ends or the connection is cut.
func (w *wire) carry(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", w.to)
	if err != nil {
		return
	}
	defer server.Close()
	var left atomic.Int64
	left.Store(1 << 62)
	if w.cut != nil {
		if n := w.cut(); n >= 0 {
			left.Store(n)
		}
	}
	done := make(chan struct{}, 2)
	for _, way := range []struct {
		to, from net.Conn
		count    *atomic.Int64
	}{{server, client, &w.up}, {client, server, &w.down}} {
		go func() {
			w.pass(way.to, way.from, &left, way.count)
			done <- struct{}{}
		}()
	}
	<-done
	if left.Load() <= 0 {
		w.cuts.Add(1)
		for _, c := range []net.Conn{client, server} { // a cut is no orderly end
			_ = c.(*net.TCPConn).SetLinger(0)
		}
	}
}

func (w *wire) pass(to, from net.Conn, left, count *atomic.Int64) {
	buf := make([]byte, 32<<10)
	for passed := int64(0); ; {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		for w.stalled.Load() {
			time.Sleep(10 * time.Millisecond)
		}
		if left.Add(-int64(n)) <= 0 {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
		count.Add(int64(n))
		if passed += int64(n); w.perTick > 0 && passed >= w.perTick {
			time.Sleep(10 * time.Millisecond)
			passed = 0
		}
	}
}
