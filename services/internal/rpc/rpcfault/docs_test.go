package rpcfault

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var reasonInCode = regexp.MustCompile(`(?:Preconditionf|Deniedf|unauthenticated)\(\s*"([A-Z_]+)"|Reason(?::|\s*=)\s*"([A-Z_]+)"`)

// Every reason that the service can give stands in docs/api-errors.md.
func TestDocumentedReasons(t *testing.T) {
	const root = "../../../.."
	page, err := os.ReadFile(filepath.Join(root, "docs/api-errors.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, layer := range []string{"escrow", "verifier", "services/internal"} {
		err := filepath.WalkDir(filepath.Join(root, layer), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			code, err := os.ReadFile(path)
			for _, m := range reasonInCode.FindAllStringSubmatch(string(code), -1) {
				found++
				if reason := m[1] + m[2]; !strings.Contains(string(page), "`"+reason+"`") {
					t.Errorf("%s: the reason %s is not in docs/api-errors.md", path, reason)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found < 20 {
		t.Errorf("only %d reasons found: the test no longer knows how they are written", found)
	}
}
