package inflate

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

func deflated(t testing.TB, content []byte, level int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := zlib.NewWriterLevel(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// contents are of all sorts: none, short, repeated at all distances, text, program code, noise.
func contents(t testing.TB) map[string][]byte {
	t.Helper()
	program, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("decoder.go")
	if err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 300_000)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	all := map[string][]byte{
		"empty": {}, "one": {'x'}, "text": text, "program": program[:min(len(program), 3<<20)], "noise": noise, "zeros": make([]byte, 1<<20),
		"skewed": skewed(random),
	}
	for i := 2; i < 300; i += 7 {
		all[fmt.Sprint("period ", i)] = bytes.Repeat(noise[:i], 1000/i+3)
	}
	return all
}

// skewed makes codes of all lengths, up to the longest.
func skewed(random *rand.Rand) []byte {
	var b []byte
	for range 400_000 {
		b = append(b, byte(min(255, int(random.ExpFloat64()*3)*7+int(random.Uint32()&1))))
	}
	for i := range 256 {
		b = append(b, byte(i), byte(i*3))
	}
	return b
}

func TestInflate(t *testing.T) {
	d := new(Decoder)
	for name, want := range contents(t) {
		for _, level := range []int{0, 1, 6, 9, flate.HuffmanOnly} {
			file := append(deflated(t, want, level), "what follows"...)
			for _, buffer := range []int{0, 1 << 20} {
				in := NewInput(bytes.NewReader(file), buffer)
				in.Section(0, int64(len(file)))
				got := make([]byte, len(want)+Slack)
				adler, err := d.Inflate(in, got, len(want))
				if err != nil || !bytes.Equal(got[:len(want)], want) || Check(want, adler) != nil {
					t.Fatalf("%s, level %d: %v", name, level, err)
				}
				if int(in.Offset()) != len(file)-len("what follows") {
					t.Errorf("%s, level %d: ends at %d of %d", name, level, in.Offset(), len(file))
				}
				in.Section(0, int64(len(file)))
				var all bytes.Buffer
				err = d.Stream(in, int64(len(want)), func(b []byte) error { all.Write(b); return nil })
				if err != nil || !bytes.Equal(all.Bytes(), want) || int(in.Offset()) != len(file)-len("what follows") {
					t.Fatalf("%s, level %d, as a stream: %v", name, level, err)
				}
			}
		}
	}
}

// inflate reads one stream in both ways, which must agree.
func inflateBoth(t testing.TB, file []byte, size int) ([]byte, int64, error) {
	t.Helper()
	d := new(Decoder)
	in := NewInput(bytes.NewReader(file), 0)
	in.Section(0, int64(len(file)))
	got := make([]byte, size+Slack)
	adler, err := d.Inflate(in, got, size)
	if err == nil {
		err = Check(got[:size], adler)
	}
	end := in.Offset()
	in.Section(0, int64(len(file)))
	var all bytes.Buffer
	streamErr := d.Stream(in, int64(size), func(b []byte) error { all.Write(b); return nil })
	if (err == nil) != (streamErr == nil) {
		t.Fatalf("whole: %v, as a stream: %v", err, streamErr)
	}
	if err == nil && (!bytes.Equal(all.Bytes(), got[:size]) || in.Offset() != end) {
		t.Fatal("whole and as a stream it gives different bytes")
	}
	return got[:size], end, err
}

func TestInflateRefuses(t *testing.T) {
	good := deflated(t, []byte(strings.Repeat("some content ", 30)), 6)
	size := 13 * 30
	broken := func(i int) []byte {
		b := bytes.Clone(good)
		b[i] ^= 1
		return b
	}
	for name, c := range map[string]struct {
		file []byte
		size int
		want error
	}{
		"empty":         {nil, size, ErrCut},
		"cut":           {good[:len(good)-5], size, ErrCut},
		"cut checksum":  {good[:len(good)-1], size, ErrCut},
		"longer":        {good, size - 1, ErrLonger},
		"shorter":       {good, size + 1, ErrShorter},
		"method":        {broken(0), size, ErrFormat},
		"header":        {broken(1), size, ErrFormat},
		"dictionary":    {append([]byte{0x78, 0xbb}, good[2:]...), size, ErrFormat},
		"checksum":      {broken(len(good) - 1), size, ErrChecksum},
		"block type":    {[]byte{0x78, 0x9c, 7, 0, 0, 0, 0, 0}, 0, ErrFormat},
		"stored length": {[]byte{0x78, 0x9c, 1, 1, 0, 1, 0, 0}, 0, ErrFormat},
		"far distance":  {[]byte{0x78, 0x9c, 0x03, 0x02, 0, 0, 0, 0, 1}, 3, ErrFormat},
		"zeros":         {make([]byte, 100), 3, ErrFormat},
	} {
		if _, _, err := inflateBoth(t, c.file, c.size); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFailuresArePassedOn(t *testing.T) {
	broken := errors.New("disk on fire")
	in := NewInput(failing{broken}, 0)
	in.Section(0, 100)
	if _, err := new(Decoder).Inflate(in, make([]byte, 10+Slack), 10); !errors.Is(err, broken) {
		t.Error(err)
	}
	good := deflated(t, []byte("content"), 6)
	in = NewInput(bytes.NewReader(good), 0)
	in.Section(0, int64(len(good)))
	if err := new(Decoder).Stream(in, 7, func([]byte) error { return broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
}

type failing struct{ err error }

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }

// The decoder of the standard library gives the same bytes, and ends at the same place.
func FuzzInflate(f *testing.F) {
	for _, level := range []int{0, 1, 9, flate.HuffmanOnly} {
		f.Add(deflated(f, []byte(strings.Repeat("some content ", 30)), level)[2:])
		f.Add(deflated(f, skewed(rand.New(rand.NewPCG(1, 2)))[399_000:], level)[2:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		want, err := io.ReadAll(io.LimitReader(flate.NewReader(r), 1<<20))
		if err != nil || len(want) == 1<<20 {
			if _, _, err := inflateBoth(t, append([]byte{0x78, 0x9c}, b...), len(want)); err == nil && len(want) < 1<<20 {
				t.Error("taken, though it is damaged")
			}
			return
		}
		end := len(b) - r.Len()
		file := append([]byte{0x78, 0x9c}, b[:end]...)
		file = append(file, adlerOf(want)...)
		got, at, err := inflateBoth(t, file, len(want))
		if err != nil || !bytes.Equal(got, want) || int(at) != len(file) {
			t.Errorf("%v, ends at %d of %d", err, at, len(file))
		}
	})
}

func adlerOf(b []byte) []byte {
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	if _, err := w.Write(b); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return z.Bytes()[z.Len()-4:]
}

func BenchmarkInflate(b *testing.B) {
	for name, content := range contents(b) {
		if strings.HasPrefix(name, "period") || len(content) < 100 {
			continue
		}
		z := deflated(b, content, 6)
		b.Run(name, func(b *testing.B) {
			d, in, out := new(Decoder), NewInput(bytes.NewReader(z), 64<<10), make([]byte, len(content)+Slack)
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				in.Section(0, int64(len(z)))
				if _, err := d.Inflate(in, out, len(content)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	small := deflated(b, []byte("tree 0123456789abcdef\nparent 0123456789abcdef0123\nauthor Some Body <some@body> 1234567890 +0000\n\nmessage of it all\n"), 6)
	b.Run("commit", func(b *testing.B) {
		d, in, out := new(Decoder), NewInput(bytes.NewReader(small), 64<<10), make([]byte, 200+Slack)
		for b.Loop() {
			in.Section(0, int64(len(small)))
			if _, err := d.Inflate(in, out, 115); err != nil {
				b.Fatal(err)
			}
		}
	})
}
