package e2e_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/catalog"
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
	clusterPatience   = 3 * time.Minute         // of a submitter whose service goes away now and then
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
		clients.Go(func() { c.depositUntil(stop, i, clusterContent, c.toEither(i)) })
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

// clusterContent is what the recipe leaves for the first release of each submitter, and another file for each after it.
func clusterContent(version string, n int) string {
	return recipeLeaves + strings.Repeat(" "+version, min(n, 1))
}

// toEither submits until a release is acknowledged, to one api and then to the other.
func (c *cluster) toEither(first int) submitter {
	var turns []submitter
	for i := range clusterAPIs {
		turns = append(turns, c.by(fmt.Sprintf("acme%d", (first+i)%clusterAPIs)))
	}
	return untilTaken(clusterPatience, turns...)
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
