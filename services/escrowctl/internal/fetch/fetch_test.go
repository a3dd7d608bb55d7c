package fetch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
)

// shelf is a fake: an evaluation service without a network, which breaks off when told to. The real one is in the
// end-to-end tests.
type shelf struct {
	files map[string][]byte

	mu      sync.Mutex
	breaks  int          // streams that break after breakAt bytes
	breakAt int          //
	trouble error        // with which they break
	lie     func([]byte) // changes what is sent
	offsets []int64      // that were asked for
}

type shelfStream struct {
	grpc.ClientStream
	content []byte
	err     error
}

func (s *shelf) ReadBlob(_ context.Context, r *pb.ReadBlobRequest, _ ...grpc.CallOption) (grpc.ServerStreamingClient[pb.ReadBlobResponse], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offsets = append(s.offsets, r.GetReadOffset())
	content, ok := s.files[r.GetDigest()]
	if !ok {
		return nil, fault.NoSuch(r.GetDigest())
	}
	content = bytes.Clone(content[r.GetReadOffset():])
	if s.lie != nil {
		s.lie(content)
	}
	if s.breaks > 0 && len(content) > s.breakAt {
		s.breaks--
		return &shelfStream{content: content[:s.breakAt], err: s.trouble}, nil
	}
	return &shelfStream{content: content, err: io.EOF}, nil
}

func (s *shelfStream) Recv() (*pb.ReadBlobResponse, error) {
	if len(s.content) == 0 {
		return nil, s.err
	}
	n := min(len(s.content), 10_000)
	m := &pb.ReadBlobResponse{Data: s.content[:n]}
	s.content = s.content[n:]
	return m, nil
}

func (s *shelf) add(content []byte) digest.Digest {
	if s.files == nil {
		s.files = map[string][]byte{}
	}
	d := digest.Of(content)
	s.files[d.String()] = content
	return d
}

// notes is a Progress that can be asked.
type notes struct {
	mu            sync.Mutex
	planned, done int64
	lines         []string
}

func (n *notes) Plan(_ int, bytes int64) { n.planned = bytes }
func (n *notes) Sent(bytes int64)        { n.mu.Lock(); defer n.mu.Unlock(); n.done += bytes }
func (n *notes) Resumed(bytes int64)     { n.Sent(bytes) }
func (n *notes) Note(line string)        { n.mu.Lock(); defer n.mu.Unlock(); n.lines = append(n.lines, line) }

func fetcher(t *testing.T, s *shelf) (*Fetcher, string) {
	t.Helper()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return &Fetcher{Service: s, Folder: root, Progress: new(notes), Retry: time.Millisecond, Patience: 50 * time.Millisecond}, dir
}

func noise(seed int64, size int) []byte {
	b := make([]byte, size)
	rand.New(rand.NewSource(seed)).Read(b)
	return b
}

var away = &fault.Error{Kind: fault.Unavailable, Message: "broke off"}

func want(t *testing.T, dir, name string, content []byte) {
	t.Helper()
	if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%s: %d bytes, want %d (%v)", name, len(got), len(content), err)
	}
}

func TestFetch(t *testing.T) {
	s := &shelf{breaks: 5, breakAt: 30_000, trouble: away}
	f, dir := fetcher(t, s)
	var files []File
	contents := [][]byte{noise(1, 0), noise(2, 1), noise(3, 250_000), noise(4, 99_999)}
	for i, c := range contents {
		files = append(files, File{Path: "a/b" + string(rune('0'+i)) + "/file", Digest: s.add(c), Size: int64(len(c))})
	}
	sum, err := f.Fetch(t.Context(), files)
	if err != nil || sum.Fetched != 350_000 || sum.Files != 4 || sum.Held != 0 || sum.Resumed != 0 {
		t.Fatalf("%+v, %v", sum, err)
	}
	for i, file := range files {
		want(t, dir, file.Path, contents[i])
	}
	if p := f.Progress.(*notes); p.done != p.planned || len(p.lines) != 5 {
		t.Errorf("shown %d of %d, %q", p.done, p.planned, p.lines)
	}
	asked := len(s.offsets)
	if sum, err = f.Fetch(t.Context(), files); err != nil || sum.Held != 4 || sum.HeldBytes != 350_000 || len(s.offsets) != asked {
		t.Errorf("again: %+v, %v, asked %d times", sum, err, len(s.offsets)-asked)
	}
	if left, err := filepath.Glob(dir + "/a/*/*.partial"); len(left) > 0 || err != nil {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestFetchGoesOnWhereItWas(t *testing.T) {
	content := noise(1, 100_000)
	denied := fault.Deniedf("NO_GRANT", "no grant")
	s := &shelf{breaks: 1, breakAt: 40_000, trouble: denied}
	f, dir := fetcher(t, s)
	file := File{Path: "x", Digest: s.add(content), Size: 100_000}
	if _, err := f.Fetch(t.Context(), []File{file}); !errors.Is(err, denied) || !strings.HasPrefix(err.Error(), "x: ") {
		t.Fatalf("%v", err)
	}
	want(t, dir, "x.partial", content[:40_000])
	sum, err := f.Fetch(t.Context(), []File{file})
	if err != nil || sum.Resumed != 40_000 || sum.Fetched != 60_000 || s.offsets[1] != 40_000 {
		t.Errorf("%+v, %v, %v", sum, err, s.offsets)
	}
	want(t, dir, "x", content)

	// All of it had come, and the name had not been given.
	if err := os.Rename(filepath.Join(dir, "x"), filepath.Join(dir, "x.partial")); err != nil {
		t.Fatal(err)
	}
	if sum, err = f.Fetch(t.Context(), []File{file}); err != nil || sum.Fetched != 0 || sum.Resumed != 100_000 {
		t.Errorf("%+v, %v", sum, err)
	}
	want(t, dir, "x", content)
}

func TestWhatIsLeftAndDamagedIsBroughtAnew(t *testing.T) {
	content := noise(1, 100_000)
	for what, left := range map[string][]byte{"other bytes": noise(2, 1000), "all other bytes": noise(2, 100_000), "too many": noise(2, 100_001)} {
		s := new(shelf)
		f, dir := fetcher(t, s)
		if err := os.WriteFile(filepath.Join(dir, "x.partial"), left, 0o600); err != nil {
			t.Fatal(err)
		}
		if sum, err := f.Fetch(t.Context(), []File{{Path: "x", Digest: s.add(content), Size: 100_000}}); err != nil || sum.Resumed != 0 {
			t.Errorf("%s: %+v, %v", what, sum, err)
		}
		want(t, dir, "x", content)
		if p := f.Progress.(*notes); p.done != p.planned {
			t.Errorf("%s: shown %d of %d", what, p.done, p.planned)
		}
	}
}

// Whatever the service sends, nothing wrong stands under a file's name.
func TestAServiceThatLies(t *testing.T) {
	content := noise(1, 100_000)
	for what, c := range map[string]struct {
		lie  func([]byte)
		size int64
	}{
		"a flipped bit": {func(b []byte) { b[len(b)/2] ^= 1 }, 100_000},
		"too few bytes": {nil, 100_001},
		"too many":      {nil, 99_999},
	} {
		s := &shelf{lie: c.lie}
		f, dir := fetcher(t, s)
		_, err := f.Fetch(t.Context(), []File{{Path: "folder/x", Digest: s.add(content), Size: c.size}})
		if !fault.Is(err, fault.Corrupt) || !strings.Contains(err.Error(), "folder/x") {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "folder/x")); err == nil {
			t.Errorf("%s: the file is there", what)
		}
	}
}

func TestFetchGivesUp(t *testing.T) {
	s := &shelf{breaks: 1 << 30, breakAt: 0, trouble: away}
	f, _ := fetcher(t, s)
	_, err := f.Fetch(t.Context(), []File{{Path: "x", Digest: s.add(noise(1, 10)), Size: 10}})
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "gave up after 50ms without headway") {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	f.Retry, f.Patience = time.Hour, time.Hour
	if _, err := f.Fetch(ctx, []File{{Path: "x", Digest: s.add(noise(1, 10)), Size: 10}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

// What is in the folder already is neither replaced nor written through.
func TestWhatIsThereStays(t *testing.T) {
	for what, prepare := range map[string]func(dir, outside string) error{
		"another file":         func(dir, _ string) error { return os.WriteFile(dir+"/d/x", []byte("other"), 0o600) },
		"a link":               func(dir, outside string) error { return os.Symlink(outside+"/x", dir+"/d/x") },
		"a link as unfinished": func(dir, outside string) error { return os.Symlink(outside+"/x", dir+"/d/x.partial") },
		"a folder":             func(dir, _ string) error { return os.Mkdir(dir+"/d/x", 0o700) },
		"a linked folder": func(dir, outside string) error {
			return errors.Join(os.Remove(dir+"/d"), os.Symlink(outside, dir+"/d"))
		},
		"a folder linked within": func(dir, _ string) error {
			return errors.Join(os.Remove(dir+"/d"), os.Mkdir(dir+"/e", 0o700), os.Symlink("e", dir+"/d"))
		},
	} {
		s := new(shelf)
		f, dir := fetcher(t, s)
		outside := t.TempDir()
		if err := errors.Join(os.Mkdir(dir+"/d", 0o700), prepare(dir, outside)); err != nil {
			t.Fatal(err)
		}
		_, err := f.Fetch(t.Context(), []File{{Path: "d/x", Digest: s.add(noise(1, 10)), Size: 10}})
		if !fault.Is(err, fault.Exists) || strings.Count(err.Error(), "d/x:") != 1 {
			t.Errorf("%s: %v", what, err)
		}
		if left, err := filepath.Glob(outside + "/*"); len(left) > 0 || err != nil {
			t.Errorf("%s: written outside: %v", what, left)
		}
		if err := Save(f.Folder, "d/x", []byte("content")); !fault.Is(err, fault.Exists) && what != "a link as unfinished" {
			t.Errorf("%s: Save: %v", what, err)
		}
	}
}

func TestSave(t *testing.T) {
	f, dir := fetcher(t, new(shelf))
	for range 2 {
		if err := Save(f.Folder, "a/b/c", []byte("content")); err != nil {
			t.Fatal(err)
		}
	}
	want(t, dir, "a/b/c", []byte("content"))
	if err := Save(f.Folder, "../out", nil); err == nil {
		t.Error("written outside")
	}
}

func TestSmall(t *testing.T) {
	s := &shelf{breaks: 1, breakAt: 5, trouble: away}
	f, _ := fetcher(t, s)
	content := noise(1, 25_000)
	d := s.add(content)
	if got, err := f.Small(t.Context(), "it", d, 25_000); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := f.Small(t.Context(), "it", d, 24_999); !fault.Is(err, fault.Exhausted) {
		t.Errorf("too long: %v", err)
	}
	s.lie = func(b []byte) { b[0] ^= 1 }
	if _, err := f.Small(t.Context(), "it", d, 25_000); !fault.Is(err, fault.Corrupt) || !strings.HasPrefix(err.Error(), "it: ") {
		t.Errorf("a lie: %v", err)
	}
}
