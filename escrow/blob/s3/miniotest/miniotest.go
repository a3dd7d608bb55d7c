// Package miniotest starts a real MinIO server for tests: on loopback, on a folder of its own, ended by its process id.
// It knows nothing of what is stored in it.
package miniotest

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

const (
	// startBound is how long a server may take until it answers.
	startBound = 60 * time.Second
	// attempts is how often a start is tried: a free port may be taken by another before the server has it.
	attempts = 5
)

// Server is a MinIO server that runs until the test ends.
type Server struct {
	Endpoint  string // host:port, plain HTTP
	AccessKey string // of the root user
	SecretKey string
	Dir       string // where it keeps its data

	t       testing.TB
	program string
	process *process
}

// Start starts a server on an empty folder, and skips the test where there is no MinIO to be found.
func Start(t testing.TB) *Server {
	t.Helper()
	program, err := Program()
	if err != nil {
		t.Skip(err)
	}
	s := &Server{AccessKey: "root" + rand.Text(), SecretKey: rand.Text(), Dir: t.TempDir(), t: t, program: program}
	t.Cleanup(s.Kill)
	for range attempts {
		s.Endpoint = freePort(t)
		if err = s.run(); err == nil {
			return s
		}
	}
	t.Fatalf("start MinIO: %v", err)
	return nil
}

// Program finds the MinIO server: $COUNTERSIGN_MINIO, then PATH, then the cache folder that `make minio` fills.
func Program() (string, error) {
	if p := os.Getenv("COUNTERSIGN_MINIO"); p != "" {
		return p, nil
	}
	if p, err := exec.LookPath("minio"); err == nil {
		return p, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no folder for caches: %w", err)
	}
	p := filepath.Join(cache, "countersign/bin/minio")
	if _, err := os.Stat(p); err != nil {
		return "", fmt.Errorf("there is no MinIO server here: run `make minio`")
	}
	return p, nil
}

// Kill ends the server at once, as a power cut would. A server that is not running stays so.
func (s *Server) Kill() {
	if s.process != nil {
		s.process.kill()
		s.process = nil
	}
}

// Restart ends the server if it runs and starts it again, on the same folder and port.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	if err := s.run(); err != nil {
		s.t.Fatalf("restart MinIO: %v", err)
	}
}

// Pid returns the server's process id.
func (s *Server) Pid() int { return s.process.cmd.Process.Pid }

// run starts the process and waits until it answers.
func (s *Server) run() error {
	p := &process{ended: make(chan struct{})}
	p.cmd = exec.Command(s.program, "server", "--quiet", "--address", s.Endpoint, "--console-address", freePort(s.t), s.Dir)
	p.cmd.Env = append(os.Environ(), "MINIO_ROOT_USER="+s.AccessKey, "MINIO_ROOT_PASSWORD="+s.SecretKey, "MINIO_BROWSER=off",
		"MINIO_UPDATE=off", "MINIO_CALLHOME_ENABLE=off", "HOME="+s.t.TempDir())
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	go p.wait()
	if err := s.await(p); err != nil {
		p.kill()
		return fmt.Errorf("%w: %s", err, p.output.Bytes())
	}
	s.process = p
	return nil
}

// await asks for readiness until the server has it, ends, or takes too long.
func (s *Server) await(p *process) error {
	ctx, cancel := context.WithTimeout(context.Background(), startBound)
	defer cancel()
	for {
		select {
		case <-p.ended:
			return fmt.Errorf("it ended at once")
		case <-ctx.Done():
			return fmt.Errorf("it is not ready after %v", startBound)
		case <-time.After(20 * time.Millisecond):
		}
		if s.ready(ctx) {
			return nil
		}
	}
}

func (s *Server) ready(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Endpoint+"/minio/health/ready", nil)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// process is one run of the server.
type process struct {
	cmd    *exec.Cmd
	output bytes.Buffer // to be read after ended
	ended  chan struct{}
}

func (p *process) wait() {
	p.cmd.Wait() //nolint:errcheck // it is killed, and so ends with an error
	close(p.ended)
}

func (p *process) kill() {
	p.cmd.Process.Kill() //nolint:errcheck // the error is that it has ended already
	<-p.ended
}

// freePort returns an address on loopback that nobody listens on.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
