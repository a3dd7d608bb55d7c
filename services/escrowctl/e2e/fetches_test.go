package e2e_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

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

// noise deposits a release with an artifact of so many bytes.
func (x *transfers) noise(size int) (artifact []byte) {
	x.Helper()
	folder, artifact := x.release("1.0", size)
	if err := x.by("acme")(folder); err != nil {
		x.Fatal(err)
	}
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
	artifact := x.noise(size)
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
	artifact := x.noise(32 << 20)
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
	x.noise(32 << 20)
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
	x.noise(4 << 20)
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
