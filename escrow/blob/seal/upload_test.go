package seal_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/blob/blobtest"
	"github.com/countersign-escrow/countersign/escrow/blob/seal"
	"github.com/countersign-escrow/countersign/escrow/blob/seal/sealtest"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/keyring"
)

// cuts returns places where an upload breaks off: around the ends of chunks and blocks, and anywhere.
func cuts(size int64, random *rand.Rand) (all []int64) {
	for at := int64(0); at < size; {
		all = append(all, at)
		step := random.Int64N(400_000)
		if random.IntN(2) == 0 {
			step += chunkBytes - (at+step)%chunkBytes + random.Int64N(3) - 1
		}
		at += step
	}
	return append(all, size)
}

func TestResumeAtAnyOffset(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int64{0, 1, chunkBytes - 1, chunkBytes, chunkBytes + 1, 1 << 20, 3<<20 + 12_345} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			objects := &counting{Store: sealtest.Folder(t)}
			s := sealtest.Over(objects, &sealtest.Records{})
			content := blobtest.Content(7, int(size))
			ref := blob.Ref{Holder: acme, Digest: digest.Of(content)}
			places := cuts(size, random)
			for i, at := range places[1:] {
				u, err := s.Resume(t.Context(), ref, size)
				must(t, err)
				if u.Offset() != places[i] {
					t.Fatalf("goes on at %d, want %d", u.Offset(), places[i])
				}
				_, err = u.Write(content[places[i]:at])
				must(t, err)
				must(t, u.Close())
				if n, err := s.Partial(t.Context(), ref); n != at || err != nil {
					t.Fatalf("%d bytes are durable (%v), want %d", n, err, at)
				}
			}
			u, err := s.Resume(t.Context(), ref, size)
			must(t, err)
			must(t, u.Commit(t.Context()))
			must(t, u.Close())
			if reads, _ := objects.since(); reads > 0 {
				t.Errorf("%d reads of what was written before", reads)
			}
			blobtest.WantHeld(t, s, ref, content)
		})
	}
}

// A Commit that the store could not do can be done later, by another process, also where nothing is left to send.
func TestCommitGoesOnLater(t *testing.T) {
	for _, size := range []int{0, 1000, chunkBytes, 2*chunkBytes + 1} {
		v := newVault(t)
		content := blobtest.Content(1, size)
		ref := blob.Ref{Holder: acme, Digest: digest.Of(content)}
		u, err := v.Resume(t.Context(), ref, int64(size))
		must(t, err)
		_, err = u.Write(content)
		must(t, err)
		must(t, os.Rename(v.dir+"/objects", v.dir+"/away"))
		if err := u.Commit(t.Context()); err == nil {
			t.Fatal("committed to a folder that is not there")
		}
		_ = u.Close() // the draft has failed
		must(t, os.Rename(v.dir+"/away", v.dir+"/objects"))
		must(t, blob.Put(t.Context(), v, ref, int64(size), bytes.NewReader(content)))
		blobtest.WantHeld(t, v, ref, content)
	}
}

// Where the note of an unfinished upload is damaged, or the key has changed, it begins anew.
func TestANoteThatCannotBeRead(t *testing.T) {
	v := newVault(t)
	content := blobtest.Content(1, 200_000)
	ref := blob.Ref{Holder: acme, Digest: digest.Of(content)}
	u, err := v.Resume(t.Context(), ref, int64(len(content)))
	must(t, err)
	_, err = u.Write(content[:100_000])
	must(t, err)
	must(t, u.Close())

	other := sealtest.Over(v.objects, &sealtest.Records{}) // other keys: another name
	if n, err := other.Partial(t.Context(), ref); n != 0 || err != nil {
		t.Errorf("with other keys %d bytes, %v", n, err)
	}
	for _, path := range v.files(t) {
		if strings.HasSuffix(path, ".note") {
			raw := readFile(t, path)
			raw[len(raw)-1] ^= 1
			overwrite(t, path, raw)
		}
	}
	if n, err := v.Partial(t.Context(), ref); n != 0 || err != nil {
		t.Errorf("%d bytes are durable, %v", n, err)
	}
	must(t, blob.Put(t.Context(), v, ref, int64(len(content)), bytes.NewReader(content)))
	blobtest.WantHeld(t, v, ref, content)
}

// Two processes upload the same blob; the second finds it there when it commits, which is no error.
func TestAnotherWasFirst(t *testing.T) {
	v := newVault(t)
	content := blobtest.Content(1, 200_000)
	ref := blob.Ref{Holder: acme, Digest: digest.Of(content)}
	u, err := v.Resume(t.Context(), ref, int64(len(content)))
	must(t, err)
	defer u.Close()
	_, err = u.Write(content)
	must(t, err)

	// The other process has its drafts elsewhere, as one of another machine has.
	elsewhere := newVault(t)
	elsewhere.Store = sealtest.Over(elsewhere.objects, v.records)
	_, path := elsewhere.put(t, acme, content)
	to := strings.Replace(path, elsewhere.dir, v.dir, 1)
	must(t, os.WriteFile(to, readFile(t, path), 0o400))

	must(t, u.Commit(t.Context()))
	must(t, u.Close())
	blobtest.WantHeld(t, v, ref, content)
	if !bytes.Equal(readFile(t, to), readFile(t, path)) {
		t.Error("what was there was written over")
	}
}

func TestAFullStoreEndsAnUpload(t *testing.T) {
	v := newVault(t)
	_, err := v.Resume(t.Context(), blob.Ref{Holder: acme, Digest: digest.Of(nil)}, 1<<48)
	if !fault.Is(err, fault.Exhausted) || !strings.Contains(err.Error(), "no room") {
		t.Errorf("256 TiB: %v", err)
	}
	_, err = v.Resume(t.Context(), blob.Ref{Holder: acme, Digest: digest.Of(nil)}, 1<<48+1)
	if !fault.Is(err, fault.Invalid) {
		t.Errorf("more than the format can hold: %v", err)
	}
}

// Keys are rewrapped without a byte of what they have sealed being touched.
func TestRewrapTouchesNoObject(t *testing.T) {
	v := newVault(t)
	content := blobtest.Content(1, 200_000)
	ref, path := v.put(t, acme, content)
	before, info := readFile(t, path), stat(t, path)
	first, second := sealtest.KEK{}, sealtest.KEK{Name: "second"}
	if n, err := keyring.New(v.records, second, first).Rewrap(t.Context(), nil); n != 1 || err != nil {
		t.Fatalf("%d keys, %v", n, err)
	}
	after := seal.New(v.objects, keyring.New(v.records, second))
	blobtest.WantHeld(t, after, ref, content)
	if !bytes.Equal(before, readFile(t, path)) || !stat(t, path).ModTime().Equal(info.ModTime()) {
		t.Error("the object was written")
	}
	if _, err := seal.New(v.objects, keyring.New(v.records, first)).Stat(t.Context(), ref); !fault.Is(err, fault.Precondition) {
		t.Errorf("with the former key: %v", err)
	}
}

func stat(t *testing.T, path string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	return info
}

func TestRangedReadsTouchFewChunks(t *testing.T) {
	objects := &counting{Store: sealtest.Folder(t)}
	s := sealtest.Over(objects, &sealtest.Records{})
	const n = 100 * chunkBytes
	content := blobtest.Content(1, n)
	ref := blob.Ref{Holder: acme, Digest: digest.Of(content)}
	must(t, blob.Put(t.Context(), s, ref, n, bytes.NewReader(content)))
	b, err := s.Open(t.Context(), ref)
	must(t, err)
	defer b.Close()
	if reads, _ := objects.since(); reads != 1 {
		t.Errorf("Open takes %d reads", reads)
	}
	for _, c := range []struct {
		offset, length int64
		chunks         int64
	}{
		{100, 1000, 0}, // of the chunk that Open has read
		{50 * chunkBytes, 1, 1},
		{70*chunkBytes - 1, 1, 1},
		{80*chunkBytes - 1, 2, 2},
		{20*chunkBytes + 5, 3 * chunkBytes, 4},
		{n - 1, 1, 1},
		{n - 5, 5, 0}, // of the same chunk again
	} {
		p := make([]byte, c.length)
		if m, err := b.ReadAt(p, c.offset); m != len(p) || err != nil || !bytes.Equal(p, content[c.offset:c.offset+c.length]) {
			t.Errorf("at %d: %d bytes, %v", c.offset, m, err)
		}
		if _, got := objects.since(); got != c.chunks*(chunkBytes+moreBytes) {
			t.Errorf("%d bytes at %d: %d bytes were read, want %d chunks", c.length, c.offset, got, c.chunks)
		}
	}
}

// Reading on and on takes few reads, and each byte is read once.
func TestSequentialReadsGoAhead(t *testing.T) {
	objects := &counting{Store: sealtest.Folder(t)}
	s := sealtest.Over(objects, &sealtest.Records{})
	const n = 160 * chunkBytes
	content := blobtest.Content(1, n)
	ref := blob.Ref{Holder: acme, Digest: digest.Of(content)}
	must(t, blob.Put(t.Context(), s, ref, n, bytes.NewReader(content)))
	b, err := s.Open(t.Context(), ref)
	must(t, err)
	defer b.Close()
	// Two readers that take turns do not disturb each other.
	var got [2]bytes.Buffer
	readers := [2]*io.SectionReader{io.NewSectionReader(b, 0, n), io.NewSectionReader(b, 0, n)}
	for range n / 32_768 {
		for i, r := range readers {
			if _, err := io.CopyN(&got[i], r, 32_768); err != nil {
				t.Fatal(err)
			}
		}
	}
	reads, read := objects.since()
	if reads > 40 || read > 2*(n+160*moreBytes)+headerBytes {
		t.Errorf("%d reads of %d bytes", reads, read)
	}
	for i := range got {
		if !bytes.Equal(got[i].Bytes(), content) {
			t.Errorf("reader %d got other bytes", i)
		}
	}
}

func TestMemoryStaysFlat(t *testing.T) {
	const size = 144 << 20
	block := blobtest.Content(1, 1<<20+1)
	want, _, err := digest.FromReader(noise(block, size))
	must(t, err)
	ref := blob.Ref{Holder: acme, Digest: want}
	s := sealtest.Open(t)
	u, err := s.Resume(t.Context(), ref, size)
	must(t, err)
	_, err = io.Copy(struct{ io.Writer }{u}, noise(block, size/2))
	must(t, err)
	must(t, u.Close())
	var most atomic.Int64
	before := allocated()
	watch := readerFunc(func(p []byte) (int, error) {
		most.Store(max(most.Load(), allocated()-before))
		return 0, io.EOF
	})
	must(t, blob.Put(t.Context(), s, ref, size, io.MultiReader(noise(block, size), watch)))
	b, err := s.Open(t.Context(), ref)
	must(t, err)
	defer b.Close()
	got, _, err := digest.FromReader(io.NewSectionReader(b, 0, size))
	if err != nil || got != want {
		t.Errorf("%s, %v", got, err)
	}
	most.Store(max(most.Load(), allocated()-before))
	if most.Load() > 24<<20 {
		t.Errorf("%d MiB were allocated for a blob of %d MiB", most.Load()>>20, size>>20)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// allocated returns how many bytes were allocated since the start, collected or not.
func allocated() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.TotalAlloc)
}
