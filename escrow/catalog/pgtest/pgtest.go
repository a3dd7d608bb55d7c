// Package pgtest runs real PostgreSQL servers for tests, each in a folder of its own that only a local socket leads to.
// It knows nothing of what is kept in them.
package pgtest

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Options say how a server runs.
type Options struct {
	Durable bool // every commit waits for the disk, as in production; else a crash of the machine (not of the server) may lose some
}

// Server is a running PostgreSQL server.
type Server struct {
	home    home
	options Options
	mu      sync.Mutex
	process *process // nil while it is down
}

// shared is the server that all tests of a binary share; see Main.
var shared struct {
	sync.Mutex
	on     bool
	server *Server
}

// Main runs a binary's tests so that Start gives all of them the same server, and ends it after them. It returns what
// the process is to exit with:
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
func Main(m *testing.M) int {
	shared.on = true
	code := m.Run()
	if shared.server != nil {
		shared.server.end()
	}
	return code
}

// Start returns a server for tests that only need databases: the one that the test binary shares, if it runs under Main,
// else one of the test's own. The test is skipped where PostgreSQL is not installed.
func Start(t testing.TB) *Server {
	t.Helper()
	if !shared.on {
		return StartOwn(t, Options{})
	}
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil {
		shared.server = launch(t, Options{})
	}
	return shared.server
}

// StartOwn returns a server of the test's own, to be killed and started again. It ends with the test.
func StartOwn(t testing.TB, o Options) *Server {
	t.Helper()
	s := launch(t, o)
	t.Cleanup(s.end)
	return s
}

func launch(t testing.TB, o Options) *Server {
	t.Helper()
	bin, err := find()
	if err != nil {
		t.Skipf("PostgreSQL is not installed: %v", err)
	}
	h, err := newHome(bin)
	if err != nil {
		t.Fatalf("PostgreSQL: %v", err)
	}
	s := &Server{home: h, options: o}
	if err := s.start(); err != nil {
		s.end()
		t.Fatalf("PostgreSQL: %v", err)
	}
	return s
}

var databases atomic.Int64

// URL makes a new, empty database as the service wants it, and returns its address. It ends with the server.
func (s *Server) URL(t testing.TB) string {
	t.Helper()
	return s.URLWith(t, `ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'`)
}

// URLWith is URL with other options of CREATE DATABASE.
func (s *Server) URLWith(t testing.TB, options string) string {
	t.Helper()
	name := fmt.Sprintf("test%d", databases.Add(1))
	if err := s.exec(t.Context(), `CREATE DATABASE `+name+` TEMPLATE template0 `+options); err != nil {
		t.Fatalf("PostgreSQL: %v", err)
	}
	return s.url(name)
}

func (s *Server) url(database string) string {
	u := url.URL{Scheme: "postgres", User: url.User(superuser), Path: "/" + database, RawQuery: url.Values{"host": {s.home.dir}}.Encode()}
	return u.String()
}

// Kill ends the server with SIGKILL, as a crash does. Its data stay for Resume.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		t.Fatal("PostgreSQL: killed while it is down")
	}
	s.process.kill()
	s.process = nil
}

// Resume starts a killed server again on its data, and returns when it answers.
func (s *Server) Resume(t testing.TB) {
	t.Helper()
	if err := s.start(); err != nil {
		t.Fatalf("PostgreSQL: %v", err)
	}
}

// start starts the server until it answers. After a crash its former children may hold the data for a moment.
func (s *Server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	deadline := time.Now().Add(30 * time.Second)
	for {
		p, err := s.home.run(s.options)
		if err != nil {
			return err
		}
		if err = s.await(p, deadline); err == nil {
			s.process = p
			return nil
		}
		p.kill()
		if time.Now().After(deadline) {
			return fmt.Errorf("does not start: %w\n%s", err, s.home.log())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// await waits until the server answers, has ended, or the time is over.
func (s *Server) await(p *process, deadline time.Time) error {
	for {
		err := s.exec(context.Background(), `SELECT 1`)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		select {
		case <-p.ended:
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (s *Server) exec(ctx context.Context, statement string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		return err
	}
	defer c.Close(ctx) //nolint:errcheck // it ends with the server at the latest
	_, err = c.Exec(ctx, statement)
	return err
}

// end ends the server at once and removes its data.
func (s *Server) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		s.process.quit()
		s.process = nil
	}
	s.home.remove()
}
