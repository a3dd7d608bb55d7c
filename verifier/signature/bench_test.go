//go:build bench

package signature_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/verifier/signature"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// bench is one signature, to be verified by us and by the stock tool for it.
type bench struct {
	*testing.T
	dir     string
	anchor  anchor.Anchor
	release signature.Release
	peer    []string // the command
	stdin   string   // a file's name; empty for none
	env     []string
}

const (
	benchRounds = 7                      // of which the median is taken
	benchSlice  = 150 * time.Millisecond // for each side in each round, at least
	benchBytes  = 1 << 20                // what is signed
)

// TestBenchVerify measures the time of a verification: ours as the service does it, with its anchors read once, from the judging of a
// release to its finding; and a process of the stock tool, which is how that is used. Both have one core and read the file from the page cache.
func TestBenchVerify(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(*bench)
	}{
		{"openpgp-rsa4096", func(b *bench) { b.openpgp("rsa4096", "gpg") }},
		{"openpgp-ed25519", func(b *bench) { b.openpgp("ed25519", "gpg") }},
		{"openpgp-ed25519-gpgv", func(b *bench) { b.openpgp("ed25519", "gpgv") }},
		{"openpgp-clearsigned", (*bench).clearsigned},
		{"ssh-ed25519", func(b *bench) { b.ssh("ed25519") }},
		{"ssh-rsa3072", func(b *bench) { b.ssh("rsa", "-b", "3072") }},
		{"sigstore-bundle", (*bench).bundle},
		{"raw-ecdsa", (*bench).raw},
		{"minisign", (*bench).minisign},
		{"signify", (*bench).signify},
		{"cms", (*bench).cms},
		{"authenticode", (*bench).authenticode},
		{"git-tag", (*bench).gitTag},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &bench{T: t, dir: t.TempDir()}
			b.noise()
			c.make(b)
			b.compare("verify-" + c.name)
		})
	}
}

// compare prints the medians of both sides, measured in turn.
func (b *bench) compare(name string) {
	b.Helper()
	b.release.Deposited = time.Now()
	var err error
	if b.release.Name, err = resource.ParseRelease("organizations/vendor/products/thing/releases/1"); err != nil {
		b.Fatal(err)
	}
	b.anchor.Name, b.anchor.Purpose = "organizations/vendor/trustAnchors/bench", anchor.Release
	trust := signature.NewTrust([]anchor.Anchor{b.anchor})
	if err := trust.Unreadable(); err != nil {
		b.Fatal(err)
	}
	ours, peer := func() { b.ours(trust) }, func() { b.theirs() }
	ours()
	peer()
	var all [2][]time.Duration
	for range benchRounds {
		all[0] = append(all[0], each(ours))
		all[1] = append(all[1], each(peer))
	}
	a, p := middle(all[0]), middle(all[1])
	fmt.Printf("%s: ours %.0f/s, %s %.1f/s\n", name, float64(time.Second)/float64(a), filepath.Base(b.peer[0]), float64(time.Second)/float64(p))
	fmt.Printf("BENCH %s ours=%.3fms peer=%.3fms ratio=%.4f aim=1.0\n", name, milliseconds(a), milliseconds(p), float64(a)/float64(p))
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// each returns the time that f takes, of as many runs as fill a slice.
func each(f func()) time.Duration {
	start, n := time.Now(), 0
	for time.Since(start) < benchSlice {
		f()
		n++
	}
	return time.Since(start) / time.Duration(n)
}

func middle(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

func (b *bench) ours(trust *signature.Trust) {
	f, err := trust.Check(b.Context(), b.release)
	if err != nil || len(f.Evidence.Signatures) == 0 || !f.Evidence.Signatures[0].Valid {
		b.Fatalf("does not count: %+v, %v", f, err)
	}
}

func (b *bench) theirs() {
	cmd := exec.Command(b.peer[0], b.peer[1:]...)
	cmd.Dir, cmd.Env = b.dir, append(os.Environ(), b.env...)
	if b.stdin != "" {
		f, err := os.Open(b.path(b.stdin))
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		cmd.Stdin = f
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v: %s", strings.Join(b.peer, " "), err, out)
	}
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

// noise makes what is signed.
func (b *bench) noise() {
	content := make([]byte, benchBytes)
	if _, err := rand.Read(content); err != nil {
		b.Fatal(err)
	}
	b.write("file", content)
}

func (b *bench) write(name string, content []byte) {
	if err := os.WriteFile(b.path(name), content, 0o600); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) read(name string) []byte { return read(b.T, b.dir, name) }

// run runs a stock tool, and returns what it prints; without the tool the benchmark is skipped.
func (b *bench) run(name string, args ...string) []byte {
	b.Helper()
	if _, err := exec.LookPath(name); err != nil {
		b.Skipf("needs %s", name)
	}
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = b.dir, append(os.Environ(), b.env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		b.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, stderr.Bytes())
	}
	return out
}

// signed makes the release: an artifact of that name on the disk, and a signature file over it.
func (b *bench) signed(name, mediaType string, content []byte) {
	b.Helper()
	b.artifact(name)
	b.release.Signatures = []signature.Signature{{Name: "signature", MediaType: mediaType, Content: content, Subject: b.release.Files[0].Digest}}
}

func (b *bench) artifact(name string) { b.release.Files = []proof.File{b.file(proof.Artifact, name)} }

func (b *bench) file(role proof.Role, name string) proof.File {
	content := b.read(name)
	return proof.File{Role: role, Name: name, Digest: digest.Of(content), Size: int64(len(content)), Open: opener(b.path(name))}
}

// opener opens a file on the disk.
func opener(name string) func(context.Context) (proof.Content, error) {
	return func(context.Context) (proof.Content, error) { return os.Open(name) }
}
