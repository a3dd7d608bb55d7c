package fs

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/blob/object/objecttest"
)

const victimBytes = 16 << 20

// TestKilled kills a process in the middle of a draft, several times: each checkpoint stands, and the bytes before it are
// those that were written.
func TestKilled(t *testing.T) {
	content := objecttest.Content("victim", victimBytes)
	if dir := os.Getenv("OBJECT_FS_TEST_VICTIM"); dir != "" {
		victim(dir, content)
		return
	}
	dir, name := t.TempDir(), named("a")
	var at object.Checkpoint
	for round := range 4 {
		kill(t, dir)
		next, err := open(t, dir).Unfinished(t.Context(), name)
		must(t, err)
		if next.Offset < at.Offset || !bytes.Equal(next.Note, noteOf(next.Offset)) {
			t.Fatalf("round %d: brought to %d with the note %x, after %d", round, next.Offset, next.Note, at.Offset)
		}
		at = next
	}
	if at.Offset == 0 {
		t.Fatal("nothing survived")
	}
	s := open(t, dir)
	d := begin(t, s, name, victimBytes, nil)
	_, err := d.Write(content[d.Checkpoint().Offset:])
	must(t, err)
	must(t, d.Commit(t.Context()))
	objecttest.WantHeld(t, s, name, content)
}

func noteOf(offset int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(offset)) }

// kill starts a process that writes, and kills it some time after its first checkpoint.
func kill(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
	cmd.Env = append(os.Environ(), "OBJECT_FS_TEST_VICTIM="+dir)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	if _, err := io.ReadFull(out, make([]byte, len("saved"))); err != nil {
		t.Error(err)
	}
	time.Sleep(20 * time.Millisecond)
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // it was killed
}

func victim(dir string, content []byte) {
	s, err := Open(dir)
	if err != nil {
		panic(err)
	}
	d, err := s.Draft(context.Background(), named("a"), victimBytes)
	if err != nil {
		panic(err)
	}
	const step = 10_007
	for at := d.Checkpoint().Offset; at+step < victimBytes; at += step {
		if _, err := d.Write(content[at : at+step]); err != nil {
			panic(err)
		}
		if err := d.Save(context.Background(), noteOf(at+step)); err != nil {
			panic(err)
		}
		fmt.Print("saved")
	}
	time.Sleep(time.Minute)
}
