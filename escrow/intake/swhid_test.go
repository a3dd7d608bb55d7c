package intake

import (
	"bytes"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// The examples of the published specification and of its reference implementation; testdata/README.md has their origin.

func TestSWHIDOfAContent(t *testing.T) {
	b, err := os.ReadFile("testdata/gpl-3.0.txt")
	if err != nil {
		t.Fatal(err)
	}
	wantSWHID(t, "swh:1:cnt:94a9ed024d3859793618152ea559a168bbcbb5e2", "blob", b)
	wantSWHID(t, "swh:1:cnt:e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", "blob", nil)
}

// wantSWHID hashes an object as Identify does.
func wantSWHID(t *testing.T, want, kind string, content []byte) {
	t.Helper()
	id, err := newObjectHash().object("example", kind, content)
	if got := want[:len("swh:1:xxx:")] + hex.EncodeToString(id.sha1[:]); err != nil || got != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
}

func TestSWHIDOfADirectory(t *testing.T) {
	if id, err := new(folder).object(newObjectHash()); err != nil || hex.EncodeToString(id.sha1[:]) != "4b825dc642cb6eb9a060e54bf8d69288fbee4904" {
		t.Errorf("the empty one: %x, %v", id.sha1, err)
	}
	example := new(folder)
	for _, line := range []string{ // in the order of the source of the example, which is not that of the object
		"file 37ec8ea2110c0b7a32fbb0e872f6e7debbf95e21 README", "file 3bb0e8592a41ae3185ee32266c860714980dbed7 Rakefile",
		"dir 61e6e867f5d7ba3b40540869bc050b0c4fed9e95 app", "file 7c2b2fbdd57d6765cdc9d84c2d7d333f11be7fb3 1.megabyte",
		"dir 591dfe784a2e9ccc63aaba1cb68a765734310d98 config", "dir 9588bf4522c2b4648bfd1c61d175d1f88c1ad4a5 public",
		"file e69de29bb2d1d6434b8b29ae775ad8c2e48c5391 development.sqlite3", "dir 154705c6aa1c8ead8c99c7915373e3c44012057f doc",
		"dir 85f157bdc39356b7bc7de9d0099b4ced8b3b382c db", "dir 5e3d3941c51cce73352dff89c805a304ba96fffe log",
		"dir 1b278423caf176da3f3533592012502aa10f566c script", "dir 035f0437c080bfd8711670b3e8677e686c69c763 test",
		"dir 7c0dc9ad978c1af3f9a4ce061e50f5918bd27138 vendor", "rev 3d531e169db92a16a9a8974f0ae6edf52e52659e will_paginate",
		"dir 62cdb7020ff920e5aa642c3d4066950dd1f01f4d order", "dir 0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33 order.",
		"dir bbe960a25ea311d21d40669e93df2003ba9b90a2 order0",
	} {
		words := strings.Fields(line)
		c := child{name: words[2], mode: map[string]Mode{"file": Regular, "dir": Folder, "rev": gitlink}[words[0]]}
		if _, err := hex.Decode(c.id.sha1[:], []byte(words[1])); err != nil {
			t.Fatal(err)
		}
		example.children = append(example.children, c)
	}
	if id, err := example.object(newObjectHash()); err != nil || hex.EncodeToString(id.sha1[:]) != "d7ed3d2c31d608823be58b1cbe57605310615231" {
		t.Errorf("%x, %v", id.sha1, err)
	}
}

func TestSWHIDOfARevision(t *testing.T) {
	const who = "Linus Torvalds <torvalds@linux-foundation.org> 1436739030 -0700\n"
	const head = "tree 85a74718d377195e1efd0843ba4f3260bad4fe07\nparent 01e2d0627a9a6edb24c37db45db5ecb31e9de808\nauthor " + who + "committer " + who
	const message = "\nLinux 4.2-rc2\n"
	wantSWHID(t, "swh:1:rev:bc0195aad0daa2ad5b0d76cce22b167bc3435590", "commit", []byte(head+message))
	wantSWHID(t, "swh:1:rev:010d34f384fa99d047cdd5e2f41e56e5c2feee45", "commit",
		[]byte(head+"svn-repo-uuid 046f1af7-66c2-d61b-5410-ce57b7db7bff\nsvn-revision 10\n"+message))
	tree, at, err := readCommit([]byte(head + message))
	if err != nil || tree.String() != "85a74718d377195e1efd0843ba4f3260bad4fe07" || at.Unix() != 1436739030 {
		t.Errorf("%s, %v, %v", tree, at, err)
	}
}

func TestSWHIDOfARelease(t *testing.T) {
	tag := []byte(`object 741b2252a5e14d6c60a913c77a6099abe73a854a
type commit
tag v2.6.14
tagger Linus Torvalds <torvalds@g5.osdl.org> 1130457753 -0700

Linux 2.6.14 release
-----BEGIN PGP SIGNATURE-----
Version: GnuPG v1.4.1 (GNU/Linux)

iD8DBQBDYWq6F3YsRnbiHLsRAmaeAJ9RCez0y8rOBbhSv344h86l/VVcugCeIhO1
wdLOnvj91G4wxYqrvThthbE=
=7VeT
-----END PGP SIGNATURE-----
`)
	wantSWHID(t, "swh:1:rel:2b10839e32c4c476e9d94492756bb1a3e1ec4aa8", "tag", tag)
	if id, err := commitOfTag(tag, "v2.6.14"); err != nil || id.String() != "741b2252a5e14d6c60a913c77a6099abe73a854a" {
		t.Errorf("%s, %v", id, err)
	}
}

// Known collisions, from the module that detects them, as the bytes that SHA-1 is computed of.
func TestSHA1Collisions(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/pjbgf/sha1cd").Output()
	if err != nil {
		t.Skip("needs the go command and the module's source")
	}
	for name, collides := range map[string]bool{"shattered-1.pdf": true, "shattered-2.pdf": true, "sha-mbles-1.bin": true, "sha-mbles-2.bin": true, "valid-file.txt": false} {
		b, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "test/testdata/files", name))
		if err != nil {
			t.Skip("the module comes without its test data: ", err)
		}
		h := newObjectHash()
		h.sha1.Reset()
		h.sha256.Reset()
		if _, err := h.Write(b); err != nil {
			t.Fatal(err)
		}
		if _, err := h.end(name); fault.Is(err, fault.Invalid) != collides || collides && !strings.Contains(err.Error(), `"`+name+`": is part of a SHA-1 collision`) {
			t.Errorf("%s: %v", name, err)
		}
		// Behind the header of a git object they collide no more, and are files like any other.
		if id, err := readAll(packTar(t, []file{{name: name, mode: Regular, body: string(b)}}), DefaultLimits()); err != nil || !bytes.HasPrefix([]byte(id.Tree), []byte(TreePrefix)) {
			t.Errorf("%s in an archive: %v", name, err)
		}
	}
}
