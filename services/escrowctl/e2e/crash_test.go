package e2e_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/client"
)

const (
	crashKills    = 200                    // of the short form
	crashKillsVar = "COUNTERSIGN_KILLS"    // how many times the long form kills
	crashTime     = 4 * time.Minute        // of the short form: it kills no more when this has passed
	crashVendors  = 3                      // submitters at a time
	crashPatience = 2 * time.Minute        // of a submitter whose service goes away now and then
	crashSettle   = 30 * time.Minute       // until everything that was due has been done
	crashRepeat   = 1 << 20                // of a version in the longest files
	crashLongest  = 700 * time.Millisecond // between a start and its kill
)

// Whatever moment the service is killed at: every receipt that a client holds verifies and stands in the log once, what
// it speaks of is held, and no release is half-sealed. The short form leaves out the rebuilds, which take longest.
func TestKilledAtAnyMoment(t *testing.T) {
	kills, end := crashKills, time.Now().Add(crashTime)
	if n, err := strconv.Atoi(os.Getenv(crashKillsVar)); err == nil {
		kills, end = n, time.Now().Add(24*time.Hour)
	}
	long := time.Until(end) > crashTime
	c := newCrash(t, long)
	c.addLab()
	stop := make(chan struct{})
	var vendors sync.WaitGroup
	for i := range crashVendors {
		vendors.Go(func() { c.depositUntil(stop, i, crashContent, untilTaken(crashPatience, c.by("acme"))) })
	}
	killed := 0
	for ; killed < kills && time.Now().Before(end); killed++ {
		time.Sleep(rand.N(crashLongest))
		c.kill()
		c.start()
	}
	close(stop) // each submitter ends when the release that it is at is sealed
	vendors.Wait()
	c.settle(long)
	c.check()
	c.stop()
	c.checkCatalog()
	fmt.Printf("CAMPAIGN crash tried=%d lost=%d wrong=%d\n", killed, len(c.lost), len(c.wrong))
	t.Logf("%d releases were sealed", len(c.receipts))
	for _, problem := range slices.Concat(c.lost, c.wrong) {
		t.Error(problem)
	}
	if killed == 0 || len(c.receipts) < killed/10 {
		t.Errorf("%d kills and %d releases show nothing", killed, len(c.receipts))
	}
}

// addLab has a lab report on every release: accepted as soon as the signature counts.
func (c *crash) addLab() {
	c.Helper()
	c.lab = true
	c.join("data/operator", c.address, "lab-fi", "evaluator", "FI")
	c.write("policy.yaml", "rules:\n  - name: signed\n    accept: signature.outcome == 'PASSED'\n")
	c.ctl("", "--profile", c.path("lab-fi"), "policy", "set", c.path("policy.yaml"))
	c.ctl("", "--profile", c.path("acme"), "grant", "create", "--grantee", "lab-fi", "--product", "widget", "--until", "9d")
}

// crashContent is what the recipe leaves for the first release of each submitter; the others differ, so that every release has a file of
// its own, and some take a while to send.
func crashContent(version string, n int) string {
	if n == 0 {
		return recipeLeaves
	}
	return recipeLeaves + strings.Repeat(" "+version, 1+n%3*crashRepeat)
}

// settle waits until everything that is due for the releases is done: a job that a kill has lost shows here.
func (c *crash) settle(rebuilds bool) {
	if log, _ := os.ReadFile(c.path("escrowd.log")); rebuilds && bytes.Contains(log, []byte("does not rebuild")) {
		c.Log("this machine does not rebuild: the rebuilds are not waited for")
		rebuilds = false
	}
	vendor := c.vendor()
	for end := time.Now().Add(crashSettle); ; time.Sleep(200 * time.Millisecond) {
		waiting := 0
		for version := range c.receipts {
			if !c.settled(vendor, "organizations/acme/products/widget/releases/"+version, rebuilds) {
				waiting++
			}
		}
		if waiting == 0 {
			return
		}
		if time.Now().After(end) {
			c.note(&c.lost, "the checks of %d releases are not complete after %s", waiting, crashSettle)
			return
		}
	}
}

// settled says whether a release has its three checks, or, with rebuilds, is complete; and its findings are in the log.
func (c *crash) settled(vendor *client.Client, release string, rebuilds bool) bool {
	c.Helper()
	r, err := vendor.Deposit.GetRelease(c.Context(), &pb.GetReleaseRequest{Name: release})
	if err != nil {
		c.Fatal(err)
	}
	findings, err := vendor.Evaluation.ListFindings(c.Context(), &pb.ListFindingsRequest{Parent: release})
	if err != nil {
		c.Fatal(err)
	}
	logged, err := vendor.Attestation.ListAttestations(c.Context(), &pb.ListAttestationsRequest{Release: release})
	if err != nil {
		c.Fatal(err)
	}
	const checks, receipt = 3, 1
	n := len(findings.GetFindings())
	return n >= checks && len(logged.GetAttestations()) >= n+receipt && (!rebuilds || r.GetRelease().GetChecksComplete()) &&
		(!c.lab || c.reported(release))
}

// reported says whether the lab has accepted a release, once.
func (c *crash) reported(release string) bool {
	c.Helper()
	var list struct{ Reports []struct{ Decision string } }
	c.decode(c.ctl("", "--profile", c.path("lab-fi"), "--output", "json", "report", "list", "--release", release), &list)
	accepted := 0
	for _, r := range list.Reports {
		if strings.HasSuffix(r.Decision, "ACCEPTED") {
			accepted++
		}
	}
	if accepted > 1 {
		c.note(&c.wrong, "%s was accepted %d times", release, accepted)
	}
	return accepted > 0
}
