//go:build bench

package gitpack

import (
	"bufio"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestBenchHistory writes to the file $BENCH_STREAM what git fast-import makes a repository of: the tree
// $BENCH_TREE, and 2,000 commits that each change some lines in some files.
func TestBenchHistory(t *testing.T) {
	path := os.Getenv("BENCH_STREAM")
	if path == "" {
		t.Skip("is a part of .ci/bench-pack")
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	writeHistory(t, w, 2000)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func writeHistory(t *testing.T, w *bufio.Writer, commits int) {
	root := os.Getenv("BENCH_TREE")
	names, texts := []string{}, map[string][]string{}
	beginCommit(w, 0)
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, root+"/")
		if len(b) < 1<<20 && strings.Count(name, "/") > 0 {
			names = append(names, name)
			texts[name] = strings.SplitAfter(string(b), "\n")
		}
		writeFile(w, name, string(b))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(3, 14))
	for i := range commits {
		beginCommit(w, i+1)
		for range 1 + random.IntN(8) {
			name := names[random.IntN(len(names))]
			lines := texts[name]
			at := random.IntN(len(lines))
			lines = slices.Insert(lines, at, fmt.Sprintf("// Line %x of commit %d.\n", random.Uint64(), i))
			texts[name] = lines
			writeFile(w, name, strings.Join(lines, ""))
		}
	}
}

func beginCommit(w *bufio.Writer, i int) {
	message := fmt.Sprintf("Change number %d\n", i)
	fmt.Fprintf(w, "commit refs/heads/main\ncommitter builder <builder@example.invalid> %d +0000\ndata %d\n%s", 1_700_000_000+i*600, len(message), message)
}

func writeFile(w *bufio.Writer, name, content string) {
	fmt.Fprintf(w, "M 100644 inline %q\ndata %d\n%s\n", name, len(content), content)
}
