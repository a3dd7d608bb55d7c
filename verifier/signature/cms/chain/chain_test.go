package chain_test

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/cms/chain"
	"github.com/countersign-escrow/countersign/verifier/signature/cms/cmstest"
)

func read(t *testing.T, a anchor.Anchor) *chain.Authority {
	t.Helper()
	held, err := chain.Read(a)
	if err != nil {
		t.Fatal(err)
	}
	return held
}

// TestMaze gives certificates of one name and one key, each of which signed all others: there are more ways than could be gone.
func TestMaze(t *testing.T) {
	for _, n := range []int{14, 64} { // all pairs within the cap on signatures, and beyond it
		t.Run(fmt.Sprint(n), func(t *testing.T) { maze(t, n) })
	}
}

func maze(t *testing.T, n int) {
	key := cmstest.EC(t)
	first := cmstest.Root(t, "Maze", key)
	var all []*x509.Certificate
	for range n {
		all = append(all, first.Authority(t, "Maze", key).Certificate)
	}
	leaf := first.Issue(t, "signer", key)
	held := read(t, cmstest.Anchor(t, "a", "signer", cmstest.Root(t, "Elsewhere", key)))
	began := time.Now()
	if c, err := chain.NewSearch(all).Find(leaf.Certificate, held, chain.Documents, time.Time{}); err == nil {
		t.Errorf("%+v", c)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
}

// TestManyAnchorsOfOneAuthority: what is capped is the effort, and the same certificates of another anchor are none.
func TestManyAnchorsOfOneAuthority(t *testing.T) {
	root := cmstest.Root(t, "Root", cmstest.EC(t))
	middle := root.Authority(t, "Middle", cmstest.EC(t))
	leaf := middle.Issue(t, "signer", cmstest.EC(t))
	search := chain.NewSearch(nil).With([]*x509.Certificate{middle.Certificate})
	held := read(t, cmstest.Anchor(t, "a", "signer", root, middle))
	for i := range 300 {
		if _, err := search.Find(leaf.Certificate, held, chain.TimeStamps, time.Time{}); err == nil {
			t.Fatal("is for time stamps")
		}
		if _, err := search.Find(leaf.Certificate, read(t, cmstest.Anchor(t, "a", "signer", root, middle)), chain.Documents, time.Time{}); err != nil {
			t.Fatalf("anchor %d: %v", i, err)
		}
	}
}

// TestOtherWay: where one issuer of the right name is no authority any more or a stranger, another is found.
func TestOtherWay(t *testing.T) {
	key := cmstest.EC(t)
	root := cmstest.Root(t, "Root", cmstest.EC(t))
	good, stranger := root.Authority(t, "Middle", key), cmstest.Root(t, "Middle", cmstest.EC(t))
	dead := root.Authority(t, "Middle", key, cmstest.Old)
	leaf := good.Issue(t, "signer", cmstest.EC(t))
	extra := []*x509.Certificate{stranger.Certificate, dead.Certificate, good.Certificate}
	c, err := chain.NewSearch(extra).Find(leaf.Certificate, read(t, cmstest.Anchor(t, "a", "signer", root)), chain.Documents, time.Time{})
	if err != nil || len(c.Certificates) != 3 || !c.Certificates[1].Equal(good.Certificate) {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestAtATime(t *testing.T) {
	root := cmstest.Root(t, "Root", cmstest.EC(t), func(c *cmstest.Template) { c.NotBefore = c.NotBefore.AddDate(-10, 0, 0) })
	leaf := root.Issue(t, "TSA", cmstest.EC(t), cmstest.Stamp, cmstest.Old)
	held := read(t, cmstest.TimeAnchor(t, "a", root))
	for at, want := range map[time.Time]bool{time.Date(2019, 6, 1, 0, 0, 0, 0, time.UTC): true, time.Now(): false, time.Date(2018, 1, 1, 0, 0, 0, 0, time.UTC): false} {
		if _, err := chain.NewSearch(nil).Find(leaf.Certificate, held, chain.TimeStamps, at); (err == nil) != want {
			t.Errorf("%v: %v", at, err)
		}
	}
}

// TestSHA1NamesAreNotJudged: the standard library does not judge chains with SHA-1, so one that constrains names is refused.
func TestSHA1NamesAreNotJudged(t *testing.T) {
	root := cmstest.Root(t, "Root", cmstest.RSA(t, 2048))
	middle := root.Authority(t, "Middle", cmstest.RSA(t, 2048), cmstest.OnlyNames)
	leaf := middle.Issue(t, "signer", cmstest.EC(t), cmstest.BySHA1)
	_, err := chain.NewSearch([]*x509.Certificate{middle.Certificate}).Find(leaf.Certificate, read(t, cmstest.Anchor(t, "a", "x", root)), chain.Documents, time.Time{})
	if err == nil || !strings.Contains(err.Error(), "name constraints") {
		t.Errorf("%v", err)
	}
}

func TestUnreadable(t *testing.T) {
	root := cmstest.Root(t, "Root", cmstest.EC(t))
	one := cmstest.PEM(root)
	for name, c := range map[string]struct{ pem, want string }{
		"no PEM":       {"nonsense", "no PEM block"},
		"behind":       {one + "nonsense", "after certificate 1"},
		"key":          {string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte{1}})), "must be a CERTIFICATE"},
		"nonsense DER": {string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{1}})), "certificate 1"},
		"blank":        {" \n", "no certificate"},
		"too many":     {strings.Repeat(one, 65), "more than 64"},
	} {
		material, err := anchor.Material(anchor.Certificates{PEM: c.pem})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := chain.Read(anchor.Anchor{Kind: anchor.X509, Purpose: anchor.Time, Material: material}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
