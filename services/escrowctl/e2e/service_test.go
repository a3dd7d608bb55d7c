package e2e_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// startTime bounds how long a service may take to be ready, or to end.
const startTime = 60 * time.Second

type serviceKey struct{}

// service is the escrowd of one script.
type service struct {
	cmd           *exec.Cmd
	address, http string // the same at every start
	ended         chan error
}

// escrowd start|stop|kill runs a service on the folder data of the script, whose operator's profile is then $OPERATOR.
func escrowd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: escrowd start|stop|kill")
	}
	s := ts.Value(serviceKey{}).(*service)
	switch args[0] {
	case "start":
		ts.Check(s.start(ts))
	case "stop":
		ts.Check(s.end(syscall.SIGTERM))
	case "kill":
		ts.Check(s.end(syscall.SIGKILL))
	default:
		ts.Fatalf("escrowd %s: no such verb", args[0])
	}
}

func (s *service) start(ts *testscript.TestScript) error {
	if s.address == "" {
		s.address, s.http = "127.0.0.1:0", "127.0.0.1:0"
		ts.Defer(func() { _ = s.end(syscall.SIGKILL) })
	}
	log, err := os.OpenFile(ts.MkAbs("escrowd.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(programs+"/escrowd", "serve", "--data", ts.MkAbs("data"), "--listen", s.address, "--http", s.http, "--operator-country", "CH")
	cmd.Stderr = log
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd, s.ended = cmd, make(chan error, 1)
	ready := make(chan error, 1)
	go func() {
		ready <- s.read(ts, stdout)
		_, _ = io.Copy(io.Discard, stdout)
		s.ended <- cmd.Wait()
	}()
	select {
	case err := <-ready:
		if err != nil {
			b, _ := os.ReadFile(ts.MkAbs("escrowd.log"))
			return fmt.Errorf("%w\n%s", err, b)
		}
		return nil
	case <-time.After(startTime):
		return fmt.Errorf("escrowd was not ready after %s", startTime)
	}
}

// read takes in what a service says until it is ready.
func (s *service) read(ts *testscript.TestScript, stdout io.Reader) error {
	said, err := readUntilReady(stdout)
	if err != nil {
		return err
	}
	s.address, s.http = said["grpc"], said["https"]
	ts.Setenv("ADDRESS", s.address)
	ts.Setenv("OPERATOR", said["profile"])
	return nil
}

// readUntilReady reads what a service says until it is ready: where it listens for grpc and for https, and its profile.
func readUntilReady(stdout io.Reader) (map[string]string, error) {
	said := map[string]string{}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) == 3 && words[0] == "LISTENING":
			said[words[1]] = strings.TrimPrefix(words[2], "https://")
		case len(words) == 2 && words[0] == "PROFILE":
			said["profile"] = words[1]
		case len(words) == 1 && words[0] == "READY":
			return said, nil
		}
	}
	return nil, fmt.Errorf("escrowd ended before it was ready")
}

// end ends the service by its process id and waits for it.
func (s *service) end(signal syscall.Signal) error {
	if s.cmd == nil {
		return nil
	}
	defer func() { s.cmd = nil }()
	if err := s.cmd.Process.Signal(signal); err != nil {
		return err
	}
	select {
	case err := <-s.ended:
		if signal == syscall.SIGKILL {
			return nil
		}
		return err
	case <-time.After(startTime):
		return fmt.Errorf("escrowd did not end within %s", startTime)
	}
}
