package signer

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// buildPlugin puts the plugin of testdata on the path, as a key management system called folder.
func buildPlugin(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "sigstore-kms-folder"), "./testdata/plugin")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
}

// A program on the path signs with each sort of key, with Sigstore's own protocol between.
func TestPlugin(t *testing.T) {
	buildPlugin(t)
	for sort, key := range keys(t) {
		t.Run(sort, func(t *testing.T) { signs(t, "folder://"+writeKey(t, key), key.Public()) })
	}
	fails(t, "folder:///none", "folder:///none", "there is no key /none", "sigstore-kms-folder")
}

func TestUnknownSystem(t *testing.T) {
	fails(t, "nokms://key", `"nokms://key"`, "awskms://, azurekms://, gcpkms://, hashivault://", "there is no sigstore-kms-nokms")
}
