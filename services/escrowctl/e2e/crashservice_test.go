package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/services/escrowctl/internal/client"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/profile"
)

// crash is a service that is killed again and again, and what its clients were told.
type crash struct {
	*testing.T
	dir           string
	runtime       string // the OCI runtime; none that there is where nothing is to be rebuilt
	address, http string
	lab           bool // whether a lab reports on every release
	cmd           *exec.Cmd

	mu          sync.Mutex
	receipts    map[string][]byte // by version, as acknowledged
	lost, wrong []string
}

func newCrash(t *testing.T, rebuilds bool) *crash { return newCrashIn(t, t.TempDir(), rebuilds) }

// newCrashIn starts a service in a folder, whose subfolder data may be there already.
func newCrashIn(t *testing.T, dir string, rebuilds bool) *crash {
	c := &crash{T: t, dir: dir, address: "127.0.0.1:0", http: "127.0.0.1:0", runtime: "/nonexistent", receipts: map[string][]byte{}}
	if rebuilds {
		c.runtime = "runc"
	}
	t.Cleanup(func() {
		if c.cmd != nil {
			c.kill()
		}
	})
	c.start()
	c.join("data/operator", c.address, "acme", "vendor", "SE")
	c.furnish()
	return c
}

// join enrols an organization with the service at an address, with a profile of its id. Operator is the operator's profile.
func (c *crash) join(operator, address, id, kind, country string) {
	c.Helper()
	c.ctl("", "--profile", c.path(operator), "organization", "create", id, "--kind", kind, "--country", country)
	var answer struct{ Token string }
	c.decode(c.ctl("", "--profile", c.path(operator), "--output", "json", "enrol", "token", "--organization", id, "--member", "admin"), &answer)
	c.ctl("", "enrol", "--address", address, "--ca", c.path(operator+"/ca.pem"), "--token", answer.Token, "--profile", c.path(id))
}

var addressLine = regexp.MustCompile(`(?m)^address: .*$`)

// copyProfile makes a profile that differs in the address alone.
func (c *crash) copyProfile(from, to, address string) {
	c.Helper()
	err := errors.Join(os.RemoveAll(c.path(to)), os.CopyFS(c.path(to), os.DirFS(c.path(from))), os.Chmod(c.path(to+"/key.pem"), 0o600))
	if err != nil {
		c.Fatal(err)
	}
	profile, err := os.ReadFile(c.path(from + "/profile.yaml"))
	if err != nil {
		c.Fatal(err)
	}
	c.write(to+"/profile.yaml", string(addressLine.ReplaceAll(profile, []byte("address: "+address))))
}

// furnish registers the vendor's key and its product, and makes what all its releases name: a source and an environment.
func (c *crash) furnish() {
	c.Helper()
	c.ctl("", "key", "generate", "--out", c.path("release.key"))
	c.ctl("", "--profile", c.path("acme"), "trust-anchor", "add", "--key", c.path("release.key.pub"))
	c.ctl("", "--profile", c.path("acme"), "product", "create", "widget")
	c.ctl("", "environment", "build", "--folder", filepath.Join(programs, "tool")+"=/bin/tool", "--out", c.path("env.oci.tar"))
	c.write("src/in.txt", "hello")
	if b, err := exec.Command("tar", "-C", c.path("src"), "-cf", c.path("src.tar"), "in.txt").CombinedOutput(); err != nil {
		c.Fatalf("tar: %v\n%s", err, b)
	}
}

func (c *crash) path(name string) string { return filepath.Join(c.dir, filepath.FromSlash(name)) }

func (c *crash) write(name, content string) {
	c.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(c.path(name)), 0o755), os.WriteFile(c.path(name), []byte(content), 0o644)); err != nil {
		c.Fatal(err)
	}
}

func (c *crash) decode(b []byte, v any) {
	c.Helper()
	if err := json.Unmarshal(b, v); err != nil {
		c.Fatalf("%v in %s", err, b)
	}
}

// try runs escrowctl in a folder.
func (c *crash) try(folder string, args ...string) (stdout []byte, err error) {
	cmd := exec.Command(filepath.Join(programs, "escrowctl"), args...)
	cmd.Dir = c.path(folder)
	cmd.Env = append(os.Environ(), "HOME="+c.dir, "XDG_CONFIG_HOME="+c.path("config"))
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("escrowctl %s: %w\n%s", strings.Join(args, " "), err, problem.Bytes())
	}
	return out.Bytes(), nil
}

func (c *crash) ctl(folder string, args ...string) []byte {
	c.Helper()
	out, err := c.try(folder, args...)
	if err != nil {
		c.Fatal(err)
	}
	return out
}

func (c *crash) vendor() *client.Client {
	c.Helper()
	p, err := profile.Load(c.path("acme"))
	if err != nil {
		c.Fatal(err)
	}
	vendor, err := client.Dial(p)
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(vendor.Close)
	return vendor
}

func (c *crash) note(list *[]string, format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*list = append(*list, fmt.Sprintf(format, args...))
}

func (c *crash) start() {
	c.Helper()
	log, err := os.OpenFile(c.path("escrowd.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		c.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(programs, "escrowd"), "serve", "--data", c.path("data"), "--listen", c.address, "--http", c.http,
		"--operator-country", "CH", "--runtime", c.runtime)
	cmd.Stderr = log
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		c.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		c.Fatal(err)
	}
	c.cmd = cmd
	late := time.AfterFunc(startTime, func() { _ = cmd.Process.Kill() }) // it may have ended
	defer late.Stop()
	said, err := readUntilReady(stdout)
	if err != nil {
		b, _ := os.ReadFile(c.path("escrowd.log"))
		c.Fatalf("%v\n%s", err, b[max(0, len(b)-4<<10):])
	}
	c.address, c.http = said["grpc"], said["https"]
}

func (c *crash) kill() {
	if err := c.cmd.Process.Kill(); err != nil {
		c.Error(err)
	}
	_ = c.cmd.Wait() // it was killed
	c.cmd = nil
}

func (c *crash) stop() {
	c.Helper()
	if err := errors.Join(c.cmd.Process.Signal(os.Interrupt), c.cmd.Wait()); err != nil {
		c.Errorf("stop: %v", err)
	}
	c.cmd = nil
}
