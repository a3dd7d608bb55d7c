package policy

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The policies in docs/policy.md compile.
func TestDocumentedRules(t *testing.T) {
	b, err := os.ReadFile("../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(b), -1)
	if len(blocks) < 2 {
		t.Fatalf("%d examples", len(blocks))
	}
	for _, block := range blocks {
		source := block[1]
		if !strings.Contains(source, "rules:") {
			source = "rules:\n" + source
		}
		compile(t, source)
	}
}
