package e2e_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/countersign-escrow/countersign/escrow/digest"
)

// The disk that a service keeps everything on, in the test of a full one.
const (
	smallDisk  = 64 << 20
	largerDisk = 256 << 20
	tooLarge   = 80 << 20 // a file that the first does not take, and the second does
)

// A deposit that fills the disk is refused, is gone on with when there is room, and nobody else is harmed meanwhile.
func TestAFullDisk(t *testing.T) {
	dir := t.TempDir()
	mountDisk(t, dir+"/data", smallDisk)
	c := newCrashIn(t, dir, false)
	c.deposited("1.0", []byte("small"))

	c.prepare("2.0", bytes.Repeat([]byte("large "), tooLarge/6))
	_, err := c.try("releases/2.0", "--profile", c.path("acme"), "release", "submit", "release.yaml")
	if err == nil || !strings.Contains(err.Error(), "no room") {
		t.Fatalf("a file that the disk cannot take: %v", err)
	}
	c.deposited("3.0", []byte("small, too"))
	c.kill()
	c.start() // a service on a full disk starts
	c.deposited("4.0", []byte("and small again"))

	if err := unix.Mount("none", dir+"/data", "tmpfs", unix.MS_REMOUNT, fmt.Sprintf("size=%d", largerDisk)); err != nil {
		t.Fatal(err)
	}
	c.submitted("2.0")
	c.check()
	c.stop()
	fmt.Printf("CAMPAIGN disk-full tried=1 lost=%d wrong=%d\n", len(c.lost), len(c.wrong))
	for _, problem := range append(c.lost, c.wrong...) {
		t.Error(problem)
	}
}

// mountDisk mounts a disk of some bytes, until the test ends.
func mountDisk(t *testing.T, dir string, size int) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount a disk that is small")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", size)); err != nil {
		t.Skipf("cannot mount a disk that is small: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// prepare makes a release at hand and signs it.
func (c *crash) prepare(version string, content []byte) {
	c.Helper()
	folder := "releases/" + version
	c.write(folder+"/widget", string(content))
	c.write(folder+"/release.yaml", fmt.Sprintf(crashRelease, version, c.path("src.tar"), c.path("env.oci.tar")))
	c.ctl(folder, "sign", "release.yaml", "--key", c.path("release.key"))
}

// submitted submits a release, which must be taken.
func (c *crash) submitted(version string) {
	c.Helper()
	folder := "releases/" + version
	c.ctl(folder, "--profile", c.path("acme"), "release", "submit", "release.yaml")
	receipt, err := os.ReadFile(c.path(folder + "/receipt.sigstore.json"))
	if err != nil {
		c.Fatal(err)
	}
	c.receipts[version] = receipt
}

func (c *crash) deposited(version string, content []byte) {
	c.Helper()
	c.prepare(version, content)
	c.submitted(version)
	if err := held(c.Context(), c.vendor(), version, content); err != nil {
		c.Fatalf("%s (%s): %v", version, digest.Of(content), err)
	}
}
