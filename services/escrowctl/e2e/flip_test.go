package e2e_test

import (
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"
)

// flip changes one bit in the middle of the largest object of the service's store; again, it changes it back. The file
// largest then has the object's path.
func flip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: flip")
	}
	largest, size := "", int64(-1)
	ts.Check(filepath.WalkDir(ts.MkAbs("data/objects"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() > size {
			largest, size = path, info.Size()
		}
		return err
	}))
	ts.Check(os.Chmod(largest, 0o600))
	f, err := os.OpenFile(largest, os.O_RDWR, 0)
	ts.Check(err)
	defer f.Close()
	b := make([]byte, 1)
	_, err = f.ReadAt(b, size/2)
	ts.Check(err)
	_, err = f.WriteAt([]byte{b[0] ^ 4}, size/2)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("largest"), []byte(largest), 0o600))
}
