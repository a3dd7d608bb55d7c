package authenticode_test

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/countersign-escrow/countersign/verifier/signature/authenticode"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

var errBroken = errors.New("the disk is broken")

type brokenContent struct{}

func (brokenContent) ReadAt([]byte, int64) (int, error) { return 0, errBroken }
func (brokenContent) Close() error                      { return nil }

func TestFailingFile(t *testing.T) {
	v, err := authenticode.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func(context.Context) (proof.Content, error){
		"open": func(context.Context) (proof.Content, error) { return nil, errBroken },
		"read": func(context.Context) (proof.Content, error) { return brokenContent{}, nil },
	} {
		f := proof.File{Name: "program.exe", Size: 4096, Open: open}
		if _, err := v.Prove(t.Context(), f); !errors.Is(err, errBroken) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := authenticode.Present(t.Context(), f); !errors.Is(err, errBroken) {
			t.Errorf("%s: present: %v", name, err)
		}
	}
}

func TestPresent(t *testing.T) {
	signed := program(true, 512)
	directory, _, _ := tableAt(signed)
	binary.LittleEndian.PutUint32(signed[directory:], 1024)
	binary.LittleEndian.PutUint32(signed[directory+4:], 64)
	for name, c := range map[string]struct {
		b    []byte
		want bool
	}{
		"unsigned": {program(true, 512), false}, "text": {[]byte("text"), false}, "empty": {nil, false},
		"malformed table": {signed, true}, // which Prove then says
	} {
		if got, err := authenticode.Present(t.Context(), proof.Bytes(proof.Artifact, "f", c.b)); got != c.want || err != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}
