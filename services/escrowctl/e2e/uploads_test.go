package e2e_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

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
