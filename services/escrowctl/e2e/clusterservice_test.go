package e2e_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/blob/s3/miniotest"
	"github.com/countersign-escrow/countersign/escrow/catalog/pgtest"
)

// cluster is a service of many processes. What its clients were told is in crash, whose folder it uses.
type cluster struct {
	*crash
	database  string
	processes []*process
	addresses []string // of the apis
	reads     int
}

// process is one of them, which is killed and started again by one goroutine.
type process struct {
	name, role, config string
	cmd                *exec.Cmd
}

func newCluster(t *testing.T, rebuilds bool) *cluster {
	c := &cluster{crash: &crash{T: t, dir: t.TempDir(), receipts: map[string][]byte{}}}
	c.database = pgtest.StartOwn(t, pgtest.Options{}).URL(t)
	bucket := c.bucketIn(miniotest.Start(t))
	runtime := "/nonexistent"
	if rebuilds {
		runtime = "runc"
	}
	for i := range clusterAPIs + clusterWorkers {
		role, name := clusterWorker, fmt.Sprintf("worker%d", i-clusterAPIs)
		if i < clusterAPIs {
			role, name = clusterAPI, fmt.Sprintf("api%d", i)
			c.addresses = append(c.addresses, freeAddress(t))
		}
		p := &process{name: name, role: role, config: c.path(name + ".yaml")}
		address := "127.0.0.1:0"
		if role == clusterAPI {
			address = c.addresses[i]
		}
		c.write(name+".yaml", fmt.Sprintf(clusterConfig, address, c.database, bucket, name, runtime))
		c.processes = append(c.processes, p)
	}
	c.escrowd("keys", "create", "--config", c.processes[0].config)
	c.escrowd("bucket", "create", "--config", c.processes[0].config)
	t.Cleanup(c.killAll)
	for _, p := range c.processes {
		c.startProcess(p)
	}
	c.enrol()
	return c
}

const clusterConfig = `listen: %s
http: 127.0.0.1:0
operator_country: CH
database: {url: "%s"}
objects: {s3: %s}
keys: keys
kek: {file: kek.json}
log: data/log
work: work/%s
runtime: %s
`

// bucketIn returns what a configuration says of a bucket in a server.
func (c *cluster) bucketIn(server *miniotest.Server) string {
	c.Helper()
	for name, secret := range map[string]string{"access": server.AccessKey, "secret": server.SecretKey} {
		if err := os.WriteFile(c.path(name), []byte(secret+"\n"), 0o600); err != nil {
			c.Fatal(err)
		}
	}
	return fmt.Sprintf(`{endpoint: "http://%s", bucket: escrow, access_key_file: access, secret_key_file: secret}`, server.Endpoint)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (c *cluster) escrowd(args ...string) {
	c.Helper()
	if b, err := exec.Command(filepath.Join(programs, "escrowd"), args...).CombinedOutput(); err != nil {
		c.Fatalf("escrowd %s: %v\n%s", strings.Join(args, " "), err, b)
	}
}

// enrol makes the vendor, with a profile for each api, and what it deposits.
func (c *cluster) enrol() {
	c.escrowd("operator", "profile", "--config", c.processes[0].config, "--out", c.path("operator"))
	c.join("operator", c.addresses[0], "acme", "vendor", "SE")
	for i, address := range c.addresses {
		c.copyProfile("acme", fmt.Sprintf("acme%d", i), address)
	}
	c.furnish()
}

func (c *cluster) startProcess(p *process) {
	log, err := os.OpenFile(c.path(p.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		c.Error(err)
		return
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(programs, "escrowd"), "serve", "--config", p.config, "--role", p.role)
	cmd.Stderr = log
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		c.Error(err)
		return
	}
	p.cmd = cmd
	late := time.AfterFunc(startTime, func() { _ = cmd.Process.Kill() }) // it may have ended
	defer late.Stop()
	if err := awaitReady(stdout); err != nil {
		b, _ := os.ReadFile(c.path(p.name + ".log"))
		c.Errorf("%s: %v\n%s", p.name, err, b[max(0, len(b)-4<<10):])
	}
}

// awaitReady reads what a process says until it is ready.
func awaitReady(stdout io.Reader) error {
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if lines.Text() == "READY" {
			return nil
		}
	}
	return fmt.Errorf("escrowd ended before it was ready")
}

// end ends a process by its id and waits for it. One that was asked to end must do so in time, and without an error.
func (c *cluster) end(p *process, signal syscall.Signal) {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(signal) // Wait tells how it ended
	late := time.AfterFunc(startTime, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	if err := p.cmd.Wait(); err != nil && signal != syscall.SIGKILL {
		b, _ := os.ReadFile(c.path(p.name + ".log"))
		c.note(&c.wrong, "%s did not stop well: %v\n%s", p.name, err, b[max(0, len(b)-2<<10):])
	}
	p.cmd = nil
}

func (c *cluster) killAll() {
	for _, p := range c.processes {
		c.end(p, syscall.SIGKILL)
	}
}

func (c *cluster) stopAll() {
	for _, p := range c.processes {
		c.end(p, syscall.SIGTERM)
	}
}
