package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
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
	c.mustDeposit("1.0", "small")

	if err := c.prepare("2.0", strings.Repeat("large ", tooLarge/6)); err != nil {
		t.Fatal(err)
	}
	if err := c.submitted("2.0", c.by("acme")); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Fatalf("a file that the disk cannot take: %v", err)
	}
	c.mustDeposit("3.0", "small, too")
	c.kill()
	c.start() // a service on a full disk starts
	c.mustDeposit("4.0", "and small again")

	if err := unix.Mount("none", dir+"/data", "tmpfs", unix.MS_REMOUNT, fmt.Sprintf("size=%d", largerDisk)); err != nil {
		t.Fatal(err)
	}
	if err := c.submitted("2.0", c.by("acme")); err != nil {
		t.Fatal(err)
	}
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

// mustDeposit deposits a release, which must be taken and held.
func (c *crash) mustDeposit(version, content string) {
	c.Helper()
	if err := errors.Join(c.deposit(version, content, c.by("acme")), held(c.Context(), c.vendor(), version, []byte(content))); err != nil {
		c.Fatalf("%s: %v", version, err)
	}
}
