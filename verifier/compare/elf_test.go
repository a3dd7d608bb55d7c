package compare

import (
	"bytes"
	"debug/elf"
	"os"
	"strings"
	"testing"
)

// self is the test binary, a real ELF file.
func self(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Skipf("no ELF file at hand: %v", err)
	}
	return b
}

func TestPlaceAgreesWithStandardReader(t *testing.T) {
	b := self(t)
	std, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	l := readLayout(file(b))
	seen := 0
	for _, s := range std.Sections {
		if s.Type == elf.SHT_NULL || s.Type == elf.SHT_NOBITS || s.FileSize == 0 {
			continue
		}
		seen++
		if got, want := l.place(int64(s.Offset+s.FileSize-1)), "ELF section "+s.Name+"+0x"; !strings.HasPrefix(got, want) {
			t.Errorf("last byte of %s: %q", s.Name, got)
		}
	}
	if seen < 5 {
		t.Fatalf("only %d sections compared", seen)
	}
	if got := l.place(4); got != "ELF header+0x4" {
		t.Errorf("place of byte 4: %q", got)
	}
	text := std.Section(".text")
	res, err := Compare(t.Context(), file(b), file(changed(b, int(text.Offset)+0x1234)))
	if err != nil || len(res.Causes) != 1 || res.Causes[0].Place != "ELF section .text+0x1234" {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestSectionName(t *testing.T) {
	for at, want := range map[uint32]string{0: "", 1: ".text", 7: `"\x1b[2J"`, 99: "?"} {
		if got := sectionName([]byte("\x00.text\x00\x1b[2J\x00"), at); got != want {
			t.Errorf("name at %d: %q, want %q", at, got, want)
		}
	}
}

func FuzzReadLayout(f *testing.F) {
	b := self(f)
	f.Add(b[:64], int64(3))
	small := bytes.Clone(b[:4096])
	small[40], small[41], small[42], small[43] = 64, 0, 0, 0 // section headers follow the header
	for i := 44; i < 48; i++ {
		small[i] = 0
	}
	f.Add(small, int64(100))
	small32 := bytes.Clone(small)
	small32[4] = 1
	f.Add(small32, int64(52))
	f.Add([]byte("\x7fELF"), int64(0))
	f.Fuzz(func(t *testing.T, b []byte, off int64) {
		l := readLayout(file(b))
		if len(l) > maxSections+2 {
			t.Fatalf("%d parts", len(l))
		}
		if p := l.place(off); p == "" || len(p) > 400 {
			t.Fatalf("place %q", p)
		}
	})
}
