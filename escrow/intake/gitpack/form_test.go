package gitpack

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

var anID = strings.Repeat("a", 20) // raw, as trees have it

func TestForm(t *testing.T) {
	const hexID = "ed53b755b93b11828f78c86aac94dc077eaec1a2"
	const who = "author a <a@b> 1 +0000\ncommitter a <a@b> 1 +0000\n"
	file := func(name string) string { return treeOf("100644", name, []byte(anID)) }
	folder := func(name string) string { return treeOf("40000", name, []byte(anID)) }
	for name, c := range map[string]struct {
		kind code
		b    string
		refs int // -1 for malformed
	}{
		"empty tree":             {codeTree, "", 0},
		"tree":                   {codeTree, file("a") + folder("b") + treeOf("120000", "c", []byte(anID)) + treeOf("160000", "d", []byte(anID)) + treeOf("100755", "e", []byte(anID)), 4},
		"old modes":              {codeTree, treeOf("100664", "a", []byte(anID)) + treeOf("040000", "b", []byte(anID)), 2},
		"folder sorts as a/":     {codeTree, file("a.b") + folder("a") + file("a0"), 3},
		"file sorts as a":        {codeTree, file("a") + file("a.b") + file("a0"), 3},
		"unsorted":               {codeTree, file("b") + file("a"), -1},
		"twice":                  {codeTree, file("a") + file("a"), -1},
		"file and folder":        {codeTree, file("a") + folder("a"), -1},
		"file and folder, apart": {codeTree, file("a") + file("a-") + file("a-b") + file("a.b") + folder("a"), -1},
		"folder not as a/":       {codeTree, folder("a") + file("a.b"), -1},
		"no name":                {codeTree, file(""), -1},
		"slash":                  {codeTree, file("a/b"), -1},
		"no mode":                {codeTree, treeOf("", "a", []byte(anID)), -1},
		"letters as mode":        {codeTree, treeOf("10x644", "a", []byte(anID)), -1},
		"device":                 {codeTree, treeOf("20644", "a", []byte(anID)), -1},
		"endless mode":           {codeTree, treeOf(strings.Repeat("1", 50), "a", []byte(anID)), -1},
		"cut id":                 {codeTree, file("a")[:20], -1},
		"cut mode":               {codeTree, "100644", -1},
		"commit":                 {codeCommit, "tree " + hexID + "\n" + who + "\nm", 1},
		"merge":                  {codeCommit, "tree " + hexID + "\nparent " + hexID + "\nparent " + hexID + "\n" + who + "gpgsig x\n y\n\nm", 3},
		"no message":             {codeCommit, "tree " + hexID + "\n" + who, 1},
		"odd people":             {codeCommit, "tree " + hexID + "\nauthor <> x\ncommitter a<b>1 +9\n\nm", 1},
		"no tree":                {codeCommit, who + "\nm", -1},
		"malformed tree":         {codeCommit, "tree " + hexID[1:] + "\n" + who + "\nm", -1},
		"upper case":             {codeCommit, "tree " + strings.ToUpper(hexID) + "\n" + who + "\nm", -1},
		"malformed parent":       {codeCommit, "tree " + hexID + "\nparent x\n" + who + "\nm", -1},
		"no author":              {codeCommit, "tree " + hexID + "\n" + who[strings.Index(who, "\n")+1:] + "\nm", -1},
		"no committer":           {codeCommit, "tree " + hexID + "\n" + who[:strings.Index(who, "\n")+1] + "\nm", -1},
		"NUL":                    {codeCommit, "tree " + hexID + "\n" + strings.Replace(who, "a@b", "a\x00b", 1) + "\nm", -1},
		"header without end":     {codeCommit, "tree " + hexID + "\n" + strings.TrimSpace(who), -1},
		"tag":                    {codeTag, "object " + hexID + "\ntype commit\ntag v1\ntagger a <b> 1 +0\n\nm", 1},
		"tag without tagger":     {codeTag, "object " + hexID + "\ntype blob\ntag v1\n\nm", 1},
		"tag of nothing":         {codeTag, "type commit\ntag v1\n\nm", -1},
		"tag of what":            {codeTag, "object " + hexID + "\ntype file\ntag v1\n\nm", -1},
		"tag without a name":     {codeTag, "object " + hexID + "\ntype commit\ntag \n\nm", -1},
		"any blob":               {codeBlob, "\x00", 0},
	} {
		n := 0
		err := checkForm(c.kind, []byte(c.b), func(*ID, code) error { n++; return nil })
		var form malformed
		switch {
		case c.refs < 0 && !errors.As(err, &form):
			t.Errorf("%s: taken", name)
		case c.refs >= 0 && (err != nil || n != c.refs):
			t.Errorf("%s: %d references, %v", name, n, err)
		}
	}
}

func FuzzForm(f *testing.F) {
	f.Add(uint8(codeTree), []byte(treeOf("100644", "a", []byte(anID))+treeOf("40000", "b", []byte(anID))))
	f.Add(uint8(codeCommit), fmt.Appendf(nil, "tree %040d\nparent %040d\n%s", 1, 2, people))
	f.Add(uint8(codeTag), fmt.Appendf(nil, "object %040d\ntype commit\ntag v1\n\n", 1))
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		n := 0
		err := checkForm(code(kind), b, func(id *ID, kind code) error {
			if n++; kinds[kind] == "" {
				t.Errorf("refers to %s as nothing", id)
			}
			return nil
		})
		var form malformed
		if err != nil && !errors.As(err, &form) {
			t.Errorf("%v", err)
		}
		if n*len(ID{}) > len(b) {
			t.Errorf("%d references in %d bytes", n, len(b))
		}
	})
}
