package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"time"
)

// recipeLeaves is what the recipe makes of the source.
const recipeLeaves = "HELLO"

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

// folderOf is where a release is laid.
func folderOf(version string) string { return "releases/" + version }

// prepare lays a release with one artifact, and signs it.
func (c *crash) prepare(version, content string) error {
	folder := folderOf(version)
	c.write(folder+"/widget", content)
	c.write(folder+"/release.yaml", fmt.Sprintf(crashRelease, version, c.path("src.tar"), c.path("env.oci.tar")))
	_, err := c.try(folder, "sign", "release.yaml", "--key", c.path("release.key"))
	return err
}

// submitter submits the release in a folder.
type submitter func(folder string) error

// by submits once, with a profile.
func (c *crash) by(profile string) submitter {
	return func(folder string) error {
		_, err := c.try(folder, "--profile", c.path(profile), "release", "submit", "release.yaml")
		return err
	}
}

// untilTaken submits in turns until the release is acknowledged, as a user would whose service goes away now and then.
func untilTaken(within time.Duration, turns ...submitter) submitter {
	return func(folder string) (err error) {
		for n, end := 0, time.Now().Add(within); time.Now().Before(end); n++ {
			if err = turns[n%len(turns)](folder); err == nil {
				return nil
			}
			time.Sleep(rand.N(100 * time.Millisecond))
		}
		return err
	}
}

// submitted submits a release that is prepared, and keeps the receipt.
func (c *crash) submitted(version string, submit submitter) error {
	folder := folderOf(version)
	if err := submit(folder); err != nil {
		return err
	}
	receipt, err := os.ReadFile(c.path(folder + "/receipt.sigstore.json"))
	if err != nil {
		c.note(&c.lost, "%s: %v", version, err)
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.receipts[version] = receipt
	return nil
}

// deposit prepares a release and submits it.
func (c *crash) deposit(version, content string, submit submitter) error {
	if err := c.prepare(version, content); err != nil {
		return err
	}
	return c.submitted(version, submit)
}

// depositUntil deposits one release after the other, with the content that is told for each. It ends when the release that it is at then
// is sealed.
func (c *crash) depositUntil(stop <-chan struct{}, vendor int, content func(version string, n int) string, submit submitter) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		version := fmt.Sprintf("%d.%d", vendor, n)
		if err := c.deposit(version, content(version, n), submit); err != nil {
			c.note(&c.wrong, "%s cannot be sealed: %v", version, err)
			return
		}
	}
}
