package kekfile

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

var now = time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)

func generate(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "kek.json")
	must(t, Generate(path, now))
	return path
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, path string) *KEK {
	t.Helper()
	k, err := Open(path)
	must(t, err)
	return k
}

func wrap(t *testing.T, k *KEK, key, about string) []byte {
	t.Helper()
	w, err := k.Wrap(t.Context(), []byte(key), []byte(about))
	must(t, err)
	return w
}

func TestWrap(t *testing.T) {
	path := generate(t)
	k := open(t, path)
	w := wrap(t, k, "the key", "acme")
	if bytes.Contains(w, []byte("the key")) || bytes.Equal(w, wrap(t, k, "the key", "acme")) {
		t.Errorf("wrapped: %q", w)
	}
	got, err := open(t, path).Unwrap(t.Context(), w, []byte("acme"))
	if err != nil || string(got) != "the key" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := k.Unwrap(t.Context(), w, []byte("umbrella")); !fault.Is(err, fault.Corrupt) {
		t.Errorf("another context: %v", err)
	}
	if _, err := open(t, generate(t)).Unwrap(t.Context(), w, []byte("acme")); !fault.Is(err, fault.Corrupt) {
		t.Errorf("another file: %v", err)
	}
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	k := open(t, generate(t))
	w := wrap(t, k, "the key", "acme")
	for i := range 8 * len(w) {
		bad := bytes.Clone(w)
		bad[i/8] ^= 1 << (i % 8)
		_, err := k.Unwrap(t.Context(), bad, []byte("acme"))
		if !fault.Is(err, fault.Corrupt) && (i >= 8*numberBytes || !fault.Is(err, fault.Precondition)) {
			t.Errorf("bit %d: %v", i, err)
		}
	}
	for n := range w {
		if _, err := k.Unwrap(t.Context(), w[:n], []byte("acme")); err == nil {
			t.Errorf("unwrapped the first %d bytes", n)
		}
	}
}

func TestGenerations(t *testing.T) {
	path := generate(t)
	former := open(t, path)
	old := wrap(t, former, "the key", "acme")
	must(t, Rotate(path, now))
	k := open(t, path)
	if k.ID() != former.ID() || !strings.HasPrefix(k.ID(), "file:") {
		t.Errorf("id %s, was %s", k.ID(), former.ID())
	}
	next := wrap(t, k, "the key", "acme")
	for name, w := range map[string][]byte{"old": old, "next": next} {
		if got, err := k.Unwrap(t.Context(), w, []byte("acme")); err != nil || string(got) != "the key" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	wantWrongKey(t, "a file from before", former, next)
	must(t, Retire(path))
	if got, err := open(t, path).Unwrap(t.Context(), next, []byte("acme")); err != nil || string(got) != "the key" {
		t.Errorf("after Retire: %q, %v", got, err)
	}
	wantWrongKey(t, "a retired generation", open(t, path), old)
	must(t, Rotate(path, now)) // a number is never used twice
	if k := open(t, path); k.newest != 3 || len(k.aeads) != 2 {
		t.Errorf("generation %d of %d", k.newest, len(k.aeads))
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != fileMode {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func wantWrongKey(t *testing.T, what string, k *KEK, wrapped []byte) {
	t.Helper()
	var f *fault.Error
	if _, err := k.Unwrap(t.Context(), wrapped, []byte("acme")); !errors.As(err, &f) || f.Reason != "WRONG_KEY" {
		t.Errorf("%s: %v", what, err)
	}
}

func TestAKeyFileIsNeverReplaced(t *testing.T) {
	path := generate(t)
	if err := Generate(path, now); !fault.Is(err, fault.Exists) {
		t.Errorf("%v", err)
	}
}

func TestBadFiles(t *testing.T) {
	path := generate(t)
	good, err := os.ReadFile(path)
	must(t, err)
	for name, bad := range map[string]string{
		"nothing":        "",
		"no JSON":        "key",
		"no generations": `{"version":1,"id":"00000000000000000000000000000000","generations":[]}`,
		"other version":  strings.Replace(string(good), `"version": 1`, `"version": 2`, 1),
		"no id":          `{"version":1,"generations":[{"number":1,"key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}]}`,
		"number 0":       strings.Replace(string(good), `"number": 1`, `"number": 0`, 1),
		"short key":      `{"version":1,"id":"00000000000000000000000000000000","generations":[{"number":1,"key":"AAAA"}]}`,
		"huge":           string(good) + strings.Repeat(" ", maxFileBytes),
	} {
		must(t, os.WriteFile(path, []byte(bad), fileMode))
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, os.WriteFile(path, good, fileMode))
	must(t, os.Chmod(path, 0o640))
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "chmod") {
		t.Errorf("readable for others: %v", err)
	}
}

func FuzzUnwrap(f *testing.F) {
	raw, err := New(now)
	if err != nil {
		f.Fatal(err)
	}
	file, err := parse(raw)
	if err != nil {
		f.Fatal(err)
	}
	k, err := file.kek()
	if err != nil {
		f.Fatal(err)
	}
	good, err := k.Wrap(f.Context(), []byte("key"), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte{0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, wrapped []byte) {
		if _, err := k.Unwrap(t.Context(), wrapped, nil); (err == nil) != bytes.Equal(wrapped, good) {
			t.Errorf("%v", err)
		}
	})
}

func FuzzParse(f *testing.F) {
	raw, err := New(now)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		file, err := parse(raw)
		if err != nil {
			return
		}
		k, err := file.kek()
		if err != nil {
			t.Fatal(err)
		}
		if len(k.aeads) != len(file.Generations) || k.aeads[k.newest] == nil {
			t.Errorf("%d ciphers for %d generations", len(k.aeads), len(file.Generations))
		}
	})
}
