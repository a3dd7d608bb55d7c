package manifest

import (
	"os"
	"regexp"
	"testing"
)

// The example in docs/manifest.md is a manifest, byte for byte.
func TestDocumentedExample(t *testing.T) {
	b, err := os.ReadFile("../../docs/manifest.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```json\n(.*?)```").FindSubmatch(b)
	if block == nil {
		t.Fatal("no example")
	}
	if _, err := Parse(block[1]); err != nil {
		t.Error(err)
	}
}
