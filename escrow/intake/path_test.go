package intake

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

func TestCheckPath(t *testing.T) {
	lim := DefaultLimits()
	good := []string{
		"a", "a/b", ".gitignore", ".github/x", "git", "a.git", ".gitmodules", "git~2", "...", "..a", "a..", " ", "a b\n", "\xff\xfe", "größe",
		strings.Repeat("x", 255), strings.Repeat("d/", 127) + "f", "aux", "c:", "-rf", "*",
	}
	for _, p := range good {
		if err := checkPath(p, "at", lim); err != nil {
			t.Errorf("%q: %v", p, err)
		}
	}
	bad := map[string]fault.Kind{
		"": fault.Invalid, "/": fault.Invalid, "/etc/passwd": fault.Invalid, "a//b": fault.Invalid, "a/": fault.Invalid,
		".": fault.Invalid, "..": fault.Invalid, "./a": fault.Invalid, "a/./b": fault.Invalid, "a/../b": fault.Invalid, "../a": fault.Invalid, "a/..": fault.Invalid,
		`a\b`: fault.Invalid, `..\a`: fault.Invalid, "a\x00b": fault.Invalid,
		".git": fault.Invalid, ".git/config": fault.Invalid, "a/.git/hooks/x": fault.Invalid, ".GIT": fault.Invalid, "a/.gIt": fault.Invalid,
		".git.": fault.Invalid, ".git . .": fault.Invalid, ".git::$INDEX_ALLOCATION": fault.Invalid, "git~1": fault.Invalid, "GIT~1/x": fault.Invalid,
		".g\u200cit": fault.Invalid, "\ufeff.git": fault.Invalid, ".gi\u202et": fault.Invalid, ".git\u206f/x": fault.Invalid,
		strings.Repeat("x", 256):           fault.Exhausted,
		strings.Repeat("d/", 128) + "f":    fault.Exhausted,
		strings.Repeat("dddddddd/", 114):   fault.Exhausted,
		strings.Repeat("x/", 600) + "/../": fault.Exhausted,
	}
	for p, kind := range bad {
		if err := checkPath(p, "at", lim); !fault.Is(err, kind) {
			t.Errorf("%q: %v, want kind %d", p, err, kind)
		}
	}
}

func FuzzCheckPath(f *testing.F) {
	for _, s := range []string{"a/b", "../a", ".git", ".g\u200cit/x", `a\b`, "a//b", "/a", "git~1", "a/.. /b"} {
		f.Add(s)
	}
	lim := DefaultLimits()
	f.Fuzz(func(t *testing.T, p string) {
		if checkPath(p, "at", lim) != nil {
			return
		}
		// fs.ValidPath wants UTF-8, which file names need not be.
		if valid := strings.ToValidUTF8(p, "?"); !fs.ValidPath(valid) || valid == "." {
			t.Errorf("%q was accepted", p)
		}
		for name := range strings.SplitSeq(p, "/") {
			if lower := strings.ToLower(name); lower == ".git" || lower == "git~1" || len(name) > maxNameBytes {
				t.Errorf("%q was accepted", p)
			}
		}
		if len(p) > lim.MaxPathBytes || strings.ContainsAny(p, "\x00\\") {
			t.Errorf("%q was accepted", p)
		}
	})
}
