package rpc

import (
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

func TestPage(t *testing.T) {
	for _, c := range []struct {
		size  int32
		token string
		limit int
		after string
		ok    bool
	}{
		{0, "", DefaultPage, "", true},
		{1, "", 1, "", true},
		{LargestPage + 1, "", LargestPage, "", true},
		{7, NextPage("organizations/acme"), 7, "organizations/acme", true},
		{-1, "", 0, "", false},
		{0, "organizations/acme", 0, "", false},
		{0, "!", 0, "", false},
		{0, strings.Repeat("A", longestToken+1), 0, "", false},
	} {
		limit, after, err := Page(c.size, c.token)
		if (err == nil) != c.ok {
			t.Errorf("Page(%d, %q): error %v", c.size, c.token, err)
			continue
		}
		if !c.ok {
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("Page(%d, %q): error %v is not the caller's", c.size, c.token, err)
			}
			continue
		}
		if limit != c.limit || after != c.after {
			t.Errorf("Page(%d, %q) = %d, %q", c.size, c.token, limit, after)
		}
	}
}

func TestCut(t *testing.T) {
	key := func(s string) string { return s }
	if page, next := Cut([]string{"a", "b"}, 2, key); len(page) != 2 || next != "" {
		t.Errorf("last page: %q, next %q", page, next)
	}
	page, next := Cut([]string{"a", "b", "c"}, 2, key)
	_, after, err := Page(2, next)
	if len(page) != 2 || after != "b" || err != nil {
		t.Errorf("page %q, next after %q (%v)", page, after, err)
	}
}

func TestFitting(t *testing.T) {
	size := func(s *string) int { return len(*s) }
	for _, c := range []struct {
		list              []string
		limit, most, want int
	}{
		{[]string{"aaa", "bb", "c"}, 3, 6, 3},
		{[]string{"aaa", "bb", "c"}, 2, 100, 2},
		{[]string{"aaa", "bb", "c"}, 3, 4, 1},
		{[]string{"aaa", "bb"}, 5, 5, 5},
		{[]string{"far too long", "b"}, 5, 2, 1},
		{nil, 5, 2, 5},
	} {
		if got := Fitting(c.list, c.limit, size, c.most); got != c.want {
			t.Errorf("%q, %d records and %d bytes at most: %d, want %d", c.list, c.limit, c.most, got, c.want)
		}
	}
}

func FuzzPageToken(f *testing.F) {
	f.Add("")
	f.Add(NextPage("x"))
	f.Add("MTo")
	f.Fuzz(func(t *testing.T, token string) {
		after, err := parsePageToken(token)
		if err != nil || token == "" {
			return
		}
		if again, err := parsePageToken(NextPage(after)); err != nil || again != after {
			t.Errorf("%q reads as %q, and that as %q (%v)", token, after, again, err)
		}
	})
}
