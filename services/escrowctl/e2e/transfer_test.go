package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// inFlight is the most that can be under way between client and service, and so be lost with a connection: the windows of
// HTTP/2 and the buffers of both machines. savedEvery is the most that a service which dies can lose beside that.
const (
	inFlight   = 8 << 20
	savedEvery = 64 << 20
)

// transfers is a service with a vendor, and a lab with a grant, that both reach it by a wire of their own.
type transfers struct {
	*crash
	wire *wire
}

func newTransfers(t *testing.T) *transfers {
	t.Parallel()
	x := &transfers{crash: newCrash(t, false)}
	operator := x.path("data/operator/profile.yaml")
	x.ctl("", "--profile", operator, "organization", "create", "lab", "--kind", "evaluator", "--country", "FI")
	var answer struct{ Token string }
	x.decode(x.ctl("", "--profile", operator, "--output", "json", "enrol", "token", "--organization", "lab", "--member", "admin"), &answer)
	x.ctl("", "enrol", "--address", x.address, "--ca", x.path("data/operator/ca.pem"), "--token", answer.Token, "--profile", x.path("lab"))
	x.ctl("", "--profile", x.path("acme"), "grant", "create", "--grantee", "lab", "--product", "widget", "--until", "90d")
	x.connect(&wire{T: t})
	return x
}

// connect lays a wire, over which the profiles acme-wire and lab-wire lead from now on.
func (x *transfers) connect(w *wire) {
	x.Helper()
	w.to = x.address
	w.listen()
	x.wire = w
	for _, who := range []string{"acme", "lab"} {
		if err := os.RemoveAll(x.path(who + "-wire")); err != nil {
			x.Fatal(err)
		}
		if err := os.CopyFS(x.path(who+"-wire"), os.DirFS(x.path(who))); err != nil {
			x.Fatal(err)
		}
		profile, err := os.ReadFile(x.path(who + "/profile.yaml"))
		if err != nil {
			x.Fatal(err)
		}
		line := regexp.MustCompile(`(?m)^address: .*$`)
		x.write(who+"-wire/profile.yaml", string(line.ReplaceAll(profile, []byte("address: "+w.address))))
	}
	for _, key := range []string{"acme-wire/key.pem", "lab-wire/key.pem"} {
		if err := os.Chmod(x.path(key), 0o600); err != nil {
			x.Fatal(err)
		}
	}
}

// release lays a signed release with an artifact of so many bytes of noise.
func (x *transfers) release(version string, size int) (folder string, artifact []byte) {
	x.Helper()
	folder = "releases/" + version
	artifact = make([]byte, size)
	var seed [32]byte
	copy(seed[:], version)
	_, _ = rand.NewChaCha8(seed).Read(artifact) // it never fails
	x.write(folder+"/widget", string(artifact))
	x.write(folder+"/release.yaml", fmt.Sprintf(`product: organizations/acme/products/widget
version: %q
sources: [{archive: ../../src.tar}]
artifacts: [{path: widget, rebuilt: /build/out/widget, platform: linux/amd64}]
environment: {image: ../../env.oci.tar}
recipe: {argv: [/bin/tool, in.txt, /build/out/widget]}
signatures: [release.sigstore.json]
`, version))
	x.ctl(folder, "sign", "release.yaml", "--key", x.path("release.key"))
	return folder, artifact
}

// ctlCommand prepares escrowctl for a run that is not waited for at once.
func (x *transfers) ctlCommand(folder string, args ...string) (*exec.Cmd, *bytes.Buffer) {
	cmd := exec.Command(filepath.Join(programs, "escrowctl"), args...)
	cmd.Dir = x.path(folder)
	cmd.Env = append(os.Environ(), "HOME="+x.dir, "XDG_CONFIG_HOME="+x.path("config"))
	said := new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = said, said
	return cmd, said
}

// run runs escrowctl, which must end well, and returns what it said on both streams.
func (x *transfers) run(folder string, args ...string) string {
	x.Helper()
	cmd, said := x.ctlCommand(folder, args...)
	if err := cmd.Run(); err != nil {
		x.Fatalf("escrowctl %s: %v\n%s", strings.Join(args, " "), err, said)
	}
	return said.String()
}

// interrupt runs escrowctl and kills it when so much has passed over the wire since, or lets it end.
func (x *transfers) interrupt(after int64, folder string, args ...string) (ended bool) {
	x.Helper()
	cmd, said := x.ctlCommand(folder, args...)
	begun := x.wire.up.Load() + x.wire.down.Load()
	if err := cmd.Start(); err != nil {
		x.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case err := <-done:
			if err != nil {
				x.Fatalf("escrowctl %s: %v\n%s", strings.Join(args, " "), err, said)
			}
			return true
		case <-time.After(2 * time.Millisecond):
		}
		if x.wire.up.Load()+x.wire.down.Load()-begun >= after {
			_ = cmd.Process.Kill() // it may have ended just now
			return <-done == nil
		}
	}
}

// cutsAfter cuts the first so many connections, each after a random number of bytes.
func cutsAfter(times int, least, most int64) func() int64 {
	var mu sync.Mutex
	return func() int64 {
		mu.Lock()
		defer mu.Unlock()
		if times == 0 {
			return -1
		}
		times--
		return least + rand.Int64N(most-least)
	}
}

var resumed = regexp.MustCompile(`RESUME \S*widget at byte (\d+) of`)

// A client that is killed again and again and started anew sends hardly more than the file.
func TestUploadsGoOnAfterTheClientsDeath(t *testing.T) {
	x := newTransfers(t)
	const size, kills = 48 << 20, 6
	folder, _ := x.release("1.0", size)
	killed := 0
	for ended := false; !ended; {
		after := 1<<20 + rand.Int64N(10<<20)
		if killed == kills {
			after = 1 << 40
		}
		ended = x.interrupt(after, folder, "--profile", x.path("acme-wire"), "release", "submit", "release.yaml")
		if !ended {
			killed++
		}
	}
	x.bounded("client", killed, size+int64(killed)*inFlight)
	if killed < 3 {
		t.Errorf("killed only %d times", killed)
	}
}

// bounded checks how much passed, and says it.
func (x *transfers) bounded(who string, faults int, most int64) {
	x.Helper()
	passed := x.wire.up.Load()
	x.Logf("TRANSFER %s faults=%d sent=%d bytes, %d at most", who, faults, passed, most+most/50)
	if passed > most+most/50 { // TLS and HTTP/2 take their share
		x.Errorf("%d bytes were sent, %d at most", passed, most)
	}
}

// However often a connection is cut, and after however many bytes, the upload goes on where the service is.
func TestUploadsGoOnAfterCuts(t *testing.T) {
	x := newTransfers(t)
	const size, cuts = 48 << 20, 8
	x.connect(&wire{T: t, cut: cutsAfter(cuts, 10<<10, 8<<20)})
	folder, _ := x.release("1.0", size)
	said := x.run(folder, "--profile", x.path("acme-wire"), "release", "submit", "release.yaml")
	if x.wire.cuts.Load() < cuts-1 || !strings.Contains(said, "SEALED") {
		t.Errorf("%d cuts\n%s", x.wire.cuts.Load(), said)
	}
	x.bounded("cut", cuts, size+cuts*inFlight)
	if !resumed.MatchString(said) {
		t.Errorf("nothing was resumed:\n%s", said)
	}
}

// A service that is killed again and again loses no more than what it had not yet saved.
func TestUploadsGoOnAfterTheServicesDeath(t *testing.T) {
	x := newTransfers(t)
	const size, kills = 160 << 20, 3
	x.connect(&wire{T: t, perTick: 512 << 10})
	folder, artifact := x.release("1.0", size)
	cmd, said := x.ctlCommand(folder, "--profile", x.path("acme-wire"), "release", "submit", "release.yaml")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for i := range kills {
		for end := time.Now().Add(startTime); x.wire.up.Load() < int64(i+1)*(40<<20) && time.Now().Before(end); {
			time.Sleep(5 * time.Millisecond)
		}
		x.kill()
		x.start()
	}
	if err := <-done; err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	x.bounded("service", kills, size+kills*(savedEvery+inFlight))
	if !strings.Contains(said.String(), "RETRY widget") {
		t.Errorf("nothing broke:\n%s", said)
	}
	x.ctl("", "--profile", x.path("acme"), "release", "fetch", "widget/1.0", "--out", x.path("back"))
	if back, err := os.ReadFile(x.path("back/artifacts/widget")); err != nil || !bytes.Equal(back, artifact) {
		t.Errorf("%d bytes came back: %v", len(back), err)
	}
}

// Two clients that send the same release at the same time both end well, with the same receipt.
func TestTwoClientsSendTheSame(t *testing.T) {
	x := newTransfers(t)
	folder, _ := x.release("1.0", 24<<20)
	var both sync.WaitGroup
	var said [2]*bytes.Buffer
	for i := range said {
		cmd, out := x.ctlCommand(folder, "--profile", x.path("acme-wire"), "release", "submit", "release.yaml", "--receipt", x.path(fmt.Sprintf("receipt%d", i)))
		said[i] = out
		both.Go(func() {
			if err := cmd.Run(); err != nil {
				t.Errorf("client %d: %v\n%s", i, err, out)
			}
		})
	}
	both.Wait()
	first, err1 := os.ReadFile(x.path("receipt0"))
	second, err2 := os.ReadFile(x.path("receipt1"))
	if err1 != nil || err2 != nil || !bytes.Equal(first, second) {
		t.Errorf("receipts: %v, %v\n%s\n%s", err1, err2, said[0], said[1])
	}
	x.bounded("rival", 1, 24<<20+inFlight+8<<20)
}

// summary is what release fetch tells at its end.
type summary struct {
	Summary struct{ Files, Held, HeldBytes, ResumedBytes, FetchedBytes int64 }
}

func (x *transfers) fetch(args ...string) (s summary, said string) {
	x.Helper()
	cmd, problem := x.ctlCommand("", append([]string{"--profile", x.path("lab-wire"), "--output", "json", "release", "fetch", "acme/widget/1.0"}, args...)...)
	out := new(bytes.Buffer)
	cmd.Stdout = out
	if err := cmd.Run(); err != nil {
		x.Fatalf("fetch: %v\n%s", err, problem)
	}
	if err := json.Unmarshal(out.Bytes(), &s); err != nil {
		x.Fatalf("%v in %s", err, out)
	}
	return s, problem.String()
}

func (x *transfers) submitted(size int) []byte {
	x.Helper()
	folder, artifact := x.release("1.0", size)
	x.ctl(folder, "--profile", x.path("acme"), "release", "submit", "release.yaml")
	return artifact
}

func (x *transfers) wantFile(name string, content []byte) {
	x.Helper()
	if got, err := os.ReadFile(x.path(name)); err != nil || !bytes.Equal(got, content) {
		x.Errorf("%s: %d bytes, want %d (%v)", name, len(got), len(content), err)
	}
}

// noPartials checks that nothing unfinished is left.
func (x *transfers) noPartials(folder string) {
	x.Helper()
	left, err := filepath.Glob(x.path(folder + "/*/*.partial"))
	if err != nil || len(left) > 0 {
		x.Errorf("left behind: %v (%v)", left, err)
	}
}

// A fetch goes on after cuts, and after its own death, where it was.
func TestFetchesGoOn(t *testing.T) {
	x := newTransfers(t)
	const size = 32 << 20
	artifact := x.submitted(size)
	x.connect(&wire{T: t, cut: cutsAfter(6, 100<<10, 6<<20)})
	if _, said := x.fetch("--out", x.path("cut")); x.wire.cuts.Load() < 5 || !strings.Contains(said, "RETRY") {
		t.Errorf("%d cuts\n%s", x.wire.cuts.Load(), said)
	}
	x.wantFile("cut/artifacts/widget", artifact)
	x.noPartials("cut")

	x.connect(&wire{T: t})
	args := []string{"--profile", x.path("lab-wire"), "release", "fetch", "acme/widget/1.0", "--out", x.path("killed"), "--only", "artifacts"}
	for range 2 {
		if x.interrupt(8<<20, "", args...) {
			t.Fatal("it was not interrupted")
		}
		if _, err := os.Stat(x.path("killed/artifacts/widget")); err == nil {
			t.Error("half a file stands under its name")
		}
	}
	s, said := x.fetch("--out", x.path("killed"), "--only", "artifacts")
	if s.Summary.ResumedBytes < 4<<20 || s.Summary.ResumedBytes+s.Summary.FetchedBytes != size {
		t.Errorf("%+v\n%s", s.Summary, said)
	}
	x.wantFile("killed/artifacts/widget", artifact)
	x.noPartials("killed")

	// What was left behind and is damaged is noticed, and brought anew.
	x.write("damaged/artifacts/widget.partial", strings.Repeat("x", 1<<20))
	if s, said := x.fetch("--out", x.path("damaged"), "--only", "artifacts"); s.Summary.FetchedBytes != 2*size-1<<20 || !strings.Contains(said, "RESTART artifacts/widget") {
		t.Errorf("%+v\n%s", s.Summary, said)
	}
	x.wantFile("damaged/artifacts/widget", artifact)
}

// A fetch outlives a service that is killed and started again.
func TestFetchesOutliveTheService(t *testing.T) {
	x := newTransfers(t)
	artifact := x.submitted(32 << 20)
	x.connect(&wire{T: t, perTick: 256 << 10})
	cmd, said := x.ctlCommand("", "--profile", x.path("lab-wire"), "release", "fetch", "acme/widget/1.0", "--out", x.path("back"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(startTime); x.wire.down.Load() < 8<<20 && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	x.kill()
	x.start()
	if err := cmd.Wait(); err != nil || !strings.Contains(said.String(), "RETRY") {
		t.Fatalf("%v\n%s", err, said)
	}
	x.wantFile("back/artifacts/widget", artifact)
}

// When the grant ends, so does the fetch, and it says why.
func TestAFetchEndsWithItsGrant(t *testing.T) {
	x := newTransfers(t)
	x.submitted(32 << 20)
	x.connect(&wire{T: t, perTick: 128 << 10})
	cmd, said := x.ctlCommand("", "--profile", x.path("lab-wire"), "release", "fetch", "acme/widget/1.0", "--out", x.path("ended"), "--only", "artifacts")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(startTime); x.wire.down.Load() < 4<<20 && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	var list struct{ Grants []struct{ Name string } }
	x.decode(x.ctl("", "--profile", x.path("acme"), "--output", "json", "grant", "list"), &list)
	x.ctl("", "--profile", x.path("acme"), "grant", "revoke", list.Grants[0].Name)
	if err := cmd.Wait(); err == nil || !strings.Contains(said.String(), "artifacts/widget: organizations/lab has no live grant on organizations/acme/products/widget") {
		t.Errorf("%v\n%s", err, said)
	}
	if _, err := os.Stat(x.path("ended/artifacts/widget")); err == nil {
		t.Error("the file is there")
	}
	info, err := os.Stat(x.path("ended/artifacts/widget.partial"))
	if err != nil || info.Size() == 0 || info.Size() == 32<<20 {
		t.Errorf("what had come: %v (%v)", info, err)
	}
	// The trail tells how much the lab has.
	trail := string(x.ctl("", "--profile", x.path("acme"), "--output", "json", "access", "list"))
	read := int64(0)
	for _, m := range regexp.MustCompile(`"bytes": *"(\d+)"`).FindAllStringSubmatch(trail, -1) {
		n, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		read = max(read, n)
	}
	if read < info.Size() || read >= 32<<20 {
		t.Errorf("the trail tells of %d bytes, %d are here", read, info.Size())
	}
}

// A bit that was flipped in the store ends a fetch in an error that names the file.
func TestAFetchOfDamagedFiles(t *testing.T) {
	x := newTransfers(t)
	x.submitted(4 << 20)
	x.stop()
	x.flipLargest()
	x.start()
	cmd, said := x.ctlCommand("", "--profile", x.path("lab-wire"), "release", "fetch", "acme/widget/1.0", "--out", x.path("damaged"))
	if err := cmd.Run(); err == nil || !strings.Contains(said.String(), "artifacts/widget: ") {
		t.Errorf("%v\n%s", err, said)
	}
	if _, err := os.Stat(x.path("damaged/artifacts/widget")); err == nil {
		t.Error("the damaged file is there")
	}
}

// flipLargest flips a bit in the middle of the largest object, which is the artifact.
func (x *transfers) flipLargest() {
	x.Helper()
	objects, err := filepath.Glob(x.path("data/objects/objects/*/*"))
	if err != nil || len(objects) == 0 {
		x.Fatalf("no objects: %v", err)
	}
	largest, size := "", int64(0)
	for _, o := range objects {
		if info, err := os.Stat(o); err == nil && info.Size() > size {
			largest, size = o, info.Size()
		}
	}
	b, err := os.ReadFile(largest)
	if err != nil {
		x.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.Chmod(largest, 0o600); err != nil {
		x.Fatal(err)
	}
	if err := os.WriteFile(largest, b, 0o600); err != nil {
		x.Fatal(err)
	}
}
