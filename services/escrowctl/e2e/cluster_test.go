package e2e_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/blob/s3/miniotest"
	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/catalog/pgtest"
	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/client"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/profile"
)

const (
	clusterAPIs       = 2
	clusterWorkers    = 3
	clusterTime       = 25 * time.Second        // of the short form
	clusterMinutesVar = "COUNTERSIGN_MINUTES"   // of the long form
	clusterVendors    = 2                       // submitters at a time
	clusterPause      = 1500 * time.Millisecond // between two kills, and before a restart, at most
	clusterSettle     = 3 * time.Minute         // until everything that was due has been done; a dead process's lease ends in a minute
	clusterAPI        = "api"
	clusterWorker     = "worker"
)

// Two processes that answer and three that work, on one PostgreSQL and one MinIO, any of which is killed at any moment:
// every receipt that a client holds verifies and stands in the log once, what it speaks of is held, nothing is found
// twice, and every release gets all its findings. The long form, of so many minutes, has them rebuilt, too.
func TestManyProcessesKilledAtAnyMoment(t *testing.T) {
	lasts, long := clusterTime, false
	if minutes, err := strconv.Atoi(os.Getenv(clusterMinutesVar)); err == nil {
		lasts, long = time.Duration(minutes)*time.Minute, true
	}
	c := newCluster(t, long)
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for i := range clusterVendors {
		clients.Go(func() { c.deposit(i, stop) })
	}
	clients.Go(func() { c.read(stop) })
	killed := c.killFor(lasts)
	close(stop) // each submitter ends when the release that it is at is sealed
	clients.Wait()
	began := time.Now()
	c.waitSettled(long)
	t.Logf("%d releases, %d read back meanwhile, %d kills, settled %s after the last", len(c.receipts), c.reads, killed, time.Since(began).Round(time.Second))
	c.check()
	c.stopAll()
	c.checkDatabase()
	fmt.Printf("CAMPAIGN cluster tried=%d lost=%d wrong=%d\n", killed, len(c.lost), len(c.wrong))
	for _, problem := range slices.Concat(c.lost, c.wrong) {
		t.Error(problem)
	}
	if killed < 3 || len(c.receipts) == 0 || c.reads == 0 {
		t.Errorf("%d kills, %d releases and %d reads show nothing", killed, len(c.receipts), c.reads)
	}
}

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
	operator := []string{"--profile", c.path("operator")}
	c.ctl("", append(operator, "organization", "create", "acme", "--kind", "vendor", "--country", "SE")...)
	var answer struct{ Token string }
	c.decode(c.ctl("", append(operator, "--output", "json", "enrol", "token", "--organization", "acme", "--member", "admin")...), &answer)
	c.ctl("", "enrol", "--address", c.addresses[0], "--ca", c.path("operator/ca.pem"), "--token", answer.Token, "--profile", c.path("acme"))
	for i, address := range c.addresses {
		if err := os.CopyFS(c.path(fmt.Sprintf("acme%d", i)), os.DirFS(c.path("acme"))); err != nil {
			c.Fatal(err)
		}
		path := c.path(fmt.Sprintf("acme%d/profile.yaml", i))
		b, err := os.ReadFile(path)
		err = errors.Join(err, os.Chmod(c.path(fmt.Sprintf("acme%d/key.pem", i)), 0o600),
			os.WriteFile(path, []byte(strings.Replace(string(b), c.addresses[0], address, 1)), 0o600))
		if err != nil {
			c.Fatal(err)
		}
	}
	c.ctl("", "key", "generate", "--out", c.path("release.key"))
	c.ctl("", "--profile", c.path("acme"), "trust-anchor", "add", "--key", c.path("release.key.pub"))
	c.ctl("", "--profile", c.path("acme"), "product", "create", "widget")
	c.ctl("", "environment", "build", "--folder", filepath.Join(programs, "tool")+"=/bin/tool", "--out", c.path("env.oci.tar"))
	c.write("src/in.txt", "hello")
	if b, err := exec.Command("tar", "-C", c.path("src"), "-cf", c.path("src.tar"), "in.txt").CombinedOutput(); err != nil {
		c.Fatalf("tar: %v\n%s", err, b)
	}
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

// killFor kills processes at random, one in five with a signal that it can obey, and starts each again after a while. All
// run when it returns.
func (c *cluster) killFor(lasts time.Duration) (killed int) {
	for end := time.Now().Add(lasts); time.Now().Before(end); {
		time.Sleep(rand.N(clusterPause))
		p := c.processes[rand.N(len(c.processes))]
		signal := syscall.SIGKILL
		if rand.N(5) == 0 {
			signal = syscall.SIGTERM
		}
		c.end(p, signal)
		killed++
		time.Sleep(rand.N(clusterPause))
		c.startProcess(p)
	}
	return killed
}

// deposit submits one tiny release after the other, each until it is acknowledged by either api.
func (c *cluster) deposit(vendor int, stop <-chan struct{}) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		version := fmt.Sprintf("%d.%d", vendor, n)
		folder := "releases/" + version
		c.write(folder+"/widget", "HELLO"+strings.Repeat(" "+version, min(n, 1))) // the first is what the recipe leaves
		c.write(folder+"/release.yaml", fmt.Sprintf(crashRelease, version, c.path("src.tar"), c.path("env.oci.tar")))
		if _, err := c.try(folder, "sign", "release.yaml", "--key", c.path("release.key")); err != nil {
			c.note(&c.wrong, "%s: %v", version, err)
			return
		}
		if err := c.submitToEither(folder, vendor); err != nil {
			c.note(&c.wrong, "%s cannot be sealed: %v", version, err)
			return
		}
		receipt, err := os.ReadFile(c.path(folder + "/receipt.sigstore.json"))
		if err != nil {
			c.note(&c.lost, "%s: %v", version, err)
			return
		}
		c.mu.Lock()
		c.receipts[version] = receipt
		c.mu.Unlock()
	}
}

// submitToEither submits a release until it is acknowledged, to one api and then to the other.
func (c *cluster) submitToEither(folder string, first int) (err error) {
	for n, end := first, time.Now().Add(3*time.Minute); time.Now().Before(end); n++ {
		acme := c.path(fmt.Sprintf("acme%d", n%clusterAPIs))
		if _, err = c.try(folder, "--profile", acme, "release", "submit", "release.yaml"); err == nil {
			return nil
		}
		time.Sleep(rand.N(100 * time.Millisecond))
	}
	return err
}

// read reads back what was acknowledged, from either api, while processes are killed.
func (c *cluster) read(stop <-chan struct{}) {
	vendors := c.dialAll()
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case <-time.After(50 * time.Millisecond):
		}
		version := c.anyVersion()
		if version == "" {
			continue
		}
		file, err := os.ReadFile(c.path("releases/" + version + "/widget"))
		if err != nil {
			c.note(&c.wrong, "%v", err)
			return
		}
		if held(c.Context(), vendors[n%len(vendors)], version, file) == nil { // an api that was killed answers later; check looks at all
			c.reads++
		}
	}
}

func (c *cluster) anyVersion() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for version := range c.receipts {
		return version
	}
	return ""
}

func (c *cluster) dialAll() (all []*client.Client) {
	for i := range clusterAPIs {
		p, err := profile.Load(c.path(fmt.Sprintf("acme%d", i)))
		if err != nil {
			c.Fatal(err)
		}
		vendor, err := client.Dial(p)
		if err != nil {
			c.Fatal(err)
		}
		c.Cleanup(vendor.Close)
		all = append(all, vendor)
	}
	return all
}

// waitSettled waits until everything that is due for the releases is done, once all processes run: a job that is stuck
// shows here.
func (c *cluster) waitSettled(rebuilds bool) {
	if log, _ := os.ReadFile(c.path("worker0.log")); rebuilds && strings.Contains(string(log), "does not rebuild") {
		c.Log("this machine does not rebuild: the rebuilds are not waited for")
		rebuilds = false
	}
	bound := clusterSettle
	if rebuilds {
		bound += time.Duration(len(c.receipts)) * 20 * time.Second / clusterWorkers
	}
	vendor := c.vendor()
	var waiting []string
	for end := time.Now().Add(bound); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		waiting = waiting[:0]
		for version := range c.receipts {
			if !c.settled(vendor, "organizations/acme/products/widget/releases/"+version, rebuilds) {
				waiting = append(waiting, version)
			}
		}
		if len(waiting) == 0 {
			return
		}
	}
	c.note(&c.lost, "the checks of %v are not complete after %s", waiting, bound)
}

// checkDatabase looks for what is half done or done twice, once all processes have stopped.
func (c *cluster) checkDatabase() {
	cat, err := catalog.OpenPostgres(c.Context(), c.database)
	if err != nil {
		c.Fatal(err)
	}
	defer cat.Close() //nolint:errcheck // it was only read
	product := resource.Product{Vendor: resource.Organization{ID: "acme"}, ID: "widget"}
	var names []resource.Release
	err = cat.View(c.Context(), func(tx *catalog.Tx) error {
		list, err := tx.Releases(product, "", 100_000)
		for _, r := range list {
			names = append(names, r.Name)
		}
		return err
	})
	for _, name := range names {
		err = errors.Join(err, cat.View(c.Context(), func(tx *catalog.Tx) error { return c.checkRelease(tx, name) }))
	}
	if err != nil {
		c.Error(err)
	}
	if len(names) != len(c.receipts) {
		c.note(&c.wrong, "there are %d releases, and %d receipts were given", len(names), len(c.receipts))
	}
}
