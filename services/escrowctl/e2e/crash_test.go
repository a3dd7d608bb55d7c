package e2e_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/client"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/profile"
	"github.com/countersign-escrow/countersign/verifier/attest"
	"github.com/countersign-escrow/countersign/verifier/publickey"
)

const (
	crashKills    = 200                    // of the short form
	crashKillsVar = "COUNTERSIGN_KILLS"    // how many times the long form kills
	crashTime     = 4 * time.Minute        // of the short form: it kills no more when this has passed
	crashVendors  = 3                      // submitters at a time
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
		vendors.Go(func() { c.deposit(i, stop) })
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
	c.ctl("", "--profile", c.path("data/operator/profile.yaml"), "organization", "create", "acme", "--kind", "vendor", "--country", "SE")
	var answer struct{ Token string }
	c.decode(c.ctl("", "--profile", c.path("data/operator/profile.yaml"), "--output", "json", "enrol", "token", "--organization", "acme", "--member", "admin"), &answer)
	c.ctl("", "enrol", "--address", c.address, "--ca", c.path("data/operator/ca.pem"), "--token", answer.Token, "--profile", c.path("acme"))
	c.ctl("", "key", "generate", "--out", c.path("release.key"))
	c.ctl("", "--profile", c.path("acme"), "trust-anchor", "add", "--key", c.path("release.key.pub"))
	c.ctl("", "--profile", c.path("acme"), "product", "create", "widget")
	c.ctl("", "environment", "build", "--folder", filepath.Join(programs, "tool")+"=/bin/tool", "--out", c.path("env.oci.tar"))
	c.write("src/in.txt", "hello")
	if b, err := exec.Command("tar", "-C", c.path("src"), "-cf", c.path("src.tar"), "in.txt").CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, b)
	}
	return c
}

// addLab has a lab report on every release: accepted as soon as the signature counts.
func (c *crash) addLab() {
	c.Helper()
	c.lab = true
	operator := c.path("data/operator/profile.yaml")
	c.ctl("", "--profile", operator, "organization", "create", "lab-fi", "--kind", "evaluator", "--country", "FI")
	var answer struct{ Token string }
	c.decode(c.ctl("", "--profile", operator, "--output", "json", "enrol", "token", "--organization", "lab-fi", "--member", "admin"), &answer)
	c.ctl("", "enrol", "--address", c.address, "--ca", c.path("data/operator/ca.pem"), "--token", answer.Token, "--profile", c.path("lab-fi"))
	c.write("policy.yaml", "rules:\n  - name: signed\n    accept: signature.outcome == 'PASSED'\n")
	c.ctl("", "--profile", c.path("lab-fi"), "policy", "set", c.path("policy.yaml"))
	c.ctl("", "--profile", c.path("acme"), "grant", "create", "--grantee", "lab-fi", "--product", "widget", "--until", "9d")
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

// deposit submits one tiny release after the other, each until it is acknowledged.
func (c *crash) deposit(vendor int, stop <-chan struct{}) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		version := fmt.Sprintf("%d.%d", vendor, n)
		folder := "releases/" + version
		// The first of each is what the recipe leaves; the others differ, so that every release has a file of its own, and
		// some take a while to send.
		content := "HELLO"
		if n > 0 {
			content += strings.Repeat(" "+version, 1+n%3*crashRepeat)
		}
		c.write(folder+"/widget", content)
		c.write(folder+"/release.yaml", fmt.Sprintf(crashRelease, version, c.path("src.tar"), c.path("env.oci.tar")))
		if _, err := c.try(folder, "sign", "release.yaml", "--key", c.path("release.key")); err != nil {
			c.note(&c.wrong, "%s: %v", version, err)
			return
		}
		if err := c.submit(folder); err != nil {
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

// submit submits a release until it is acknowledged, as a user would whose service goes away now and then.
func (c *crash) submit(folder string) (err error) {
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); {
		if _, err = c.try(folder, "--profile", c.path("acme"), "release", "submit", "release.yaml"); err == nil {
			return nil
		}
		time.Sleep(rand.N(100 * time.Millisecond))
	}
	return err
}

func (c *crash) note(list *[]string, format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*list = append(*list, fmt.Sprintf(format, args...))
}

const crashRelease = `product: organizations/acme/products/widget
version: "%s"
sources:
  - archive: %s
artifacts:
  - {path: widget, rebuilt: /build/out/widget, platform: linux/amd64}
environment:
  image: %s
recipe:
  argv: [/bin/tool, in.txt, /build/out/widget]
signatures: [release.sigstore.json]
`

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

// check looks at every receipt that was acknowledged.
func (c *crash) check() {
	c.ctl("", "--profile", c.path("acme"), "attestation", "trusted-root", "--out", c.path("trust"))
	root, err := os.ReadFile(c.path("trust/trusted_root.json"))
	if err != nil {
		c.Fatal(err)
	}
	pem, err := os.ReadFile(c.path("trust/statement.pub"))
	if err != nil {
		c.Fatal(err)
	}
	key, err := publickey.Parse(string(pem))
	if err != nil {
		c.Fatal(err)
	}
	entries := c.entries()
	seen := map[string]int{}
	for _, e := range entries {
		if seen[string(e)]++; seen[string(e)] == 2 {
			c.note(&c.wrong, "an entry is in the log twice: %s", e)
		}
	}
	vendor := c.vendor()
	for version, receipt := range c.receipts {
		file, err := os.ReadFile(c.path("releases/" + version + "/widget"))
		if err != nil {
			c.Fatal(err)
		}
		v, err := attest.Verify(receipt, root, key, attest.Policy{PredicateType: attest.TypeReceipt, Artifact: digest.Of(file)})
		if err != nil {
			c.note(&c.lost, "%s: the receipt does not verify: %v", version, err)
			continue
		}
		if body := loggedBody(c.T, receipt); v.LogIndex >= int64(len(entries)) || !bytes.Equal(entries[v.LogIndex], body) {
			c.note(&c.lost, "%s: the receipt's entry is not at index %d of the log's %d", version, v.LogIndex, len(entries))
		}
		if err := held(c.Context(), vendor, version, file); err != nil {
			c.note(&c.lost, "%s: %v", version, err)
		}
	}
}

// entries reads the log's entries from its tiles, as C2SP tlog-tiles lays them out, up to its checkpoint: what lies beyond
// is what a kill has left.
func (c *crash) entries() (all [][]byte) {
	const width = 256
	checkpoint, err := os.ReadFile(c.path("data/log/checkpoint"))
	if err != nil {
		c.Fatal(err)
	}
	lines := strings.Split(string(checkpoint), "\n")
	size, err := strconv.Atoi(lines[min(1, len(lines)-1)])
	if err != nil {
		c.Fatalf("checkpoint: %v", err)
	}
	for n := 0; len(all) < size; n++ {
		tile := c.path(fmt.Sprintf("data/log/tile/entries/x%03d/%03d", n/1000, n%1000))
		if n < 1000 {
			tile = c.path(fmt.Sprintf("data/log/tile/entries/%03d", n))
		}
		if left := size - len(all); left < width {
			tile += ".p/" + strconv.Itoa(left)
		}
		b, err := os.ReadFile(tile)
		if err != nil {
			c.Fatal(err)
		}
		for len(b) >= 2 {
			n := int(binary.BigEndian.Uint16(b))
			all = append(all, b[2:2+n])
			b = b[2+n:]
		}
	}
	return all
}

// loggedBody is the log's entry in a bundle.
func loggedBody(t *testing.T, bundle []byte) []byte {
	t.Helper()
	var b struct {
		VerificationMaterial struct {
			TlogEntries []struct {
				CanonicalizedBody string `json:"canonicalizedBody"`
			} `json:"tlogEntries"`
		} `json:"verificationMaterial"`
	}
	if err := json.Unmarshal(bundle, &b); err != nil || len(b.VerificationMaterial.TlogEntries) != 1 {
		t.Fatalf("no bundle with one entry: %v", err)
	}
	body, err := base64.StdEncoding.DecodeString(b.VerificationMaterial.TlogEntries[0].CanonicalizedBody)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// held says whether the service still holds a release's artifact.
func held(ctx context.Context, vendor *client.Client, version string, file []byte) error {
	stream, err := vendor.Evaluation.ReadBlob(ctx, &pb.ReadBlobRequest{
		Release: "organizations/acme/products/widget/releases/" + version, Digest: digest.Of(file).String(),
	})
	if err != nil {
		return err
	}
	var got []byte
	for len(got) < len(file) {
		m, err := stream.Recv()
		if err != nil {
			return fmt.Errorf("its artifact: %w", err)
		}
		got = append(got, m.GetData()...)
	}
	if !bytes.Equal(got, file) {
		return fmt.Errorf("its artifact is %q, was %q", got, file)
	}
	return nil
}

// checkCatalog looks for what is half done, once the service has stopped.
func (c *crash) checkCatalog() {
	cat, err := catalog.Open(c.Context(), c.path("data/catalog.db"))
	if err != nil {
		c.Fatal(err)
	}
	defer cat.Close() //nolint:errcheck // it was only read
	product := resource.Product{Vendor: resource.Organization{ID: "acme"}, ID: "widget"}
	err = cat.View(context.Background(), func(tx *catalog.Tx) error {
		for after := ""; ; {
			list, err := tx.Releases(product, after, 100)
			if err != nil || len(list) == 0 {
				return err
			}
			for _, r := range list {
				after = r.Name.Version
				if err := c.checkRelease(tx, r.Name); err != nil {
					return err
				}
			}
		}
	})
	if err != nil {
		c.Error(err)
	}
}

// checkRelease says whether a release is sealed whole, and nothing was found of it twice.
func (c *crash) checkRelease(tx *catalog.Tx, name resource.Release) error {
	r, err := tx.Release(name)
	if err != nil {
		return err
	}
	if r.State != catalog.ReleaseSealed || c.receipts[name.Version] == nil {
		c.note(&c.wrong, "%s: is %s, and its receipt was not given", name, r.State)
		return nil
	}
	receipt, err := tx.Attestation(r.ReceiptID)
	if err != nil {
		return err
	}
	if !bytes.Equal(receipt.Bundle, c.receipts[name.Version]) {
		c.note(&c.wrong, "%s: the receipt is another than was given", name)
	}
	if files, err := tx.ReleaseFiles(name); err != nil || len(files) < 4 {
		c.note(&c.wrong, "%s: has %d files (%v)", name, len(files), err)
	}
	findings, err := tx.Findings(name, 0, 1000)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, f := range findings {
		about := fmt.Sprint(f.Check, f.Artifact, f.Rebuilder)
		if seen[about] {
			c.note(&c.wrong, "%s: %s was found twice", name, about)
		}
		seen[about] = true
		if att, err := tx.Attestation(f.AttestationID); err != nil || att.State != catalog.AttestationPublished {
			c.note(&c.wrong, "%s: the finding %s has no attestation in the log (%v)", name, about, err)
		}
	}
	return nil
}
