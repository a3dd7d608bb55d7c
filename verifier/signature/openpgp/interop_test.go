package openpgp

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

func TestGPGAlgorithms(t *testing.T) {
	g := newGPG(t)
	for _, algorithm := range []string{"rsa2048", "rsa3072", "dsa2048", "nistp256", "nistp384", "nistp521", "brainpoolP256r1", "secp256k1", "ed25519"} {
		id := g.key(algorithm, algorithm, "sign", "0")
		ring := holding(algorithm, g.export(algorithm))
		for _, args := range [][]string{{"--detach-sign"}, {"--detach-sign", "--armor"}, {"--detach-sign", "--textmode"},
			{"--detach-sign", "--digest-algo", "SHA512"}, {"--clear-sign"}} {
			content := g.sign(id, args...)
			p := proveOne(t, content, document, ring)
			wantGood(t, p)
			if p.KeyID != id || p.Signer != algorithm+", "+id || !p.Claim.Equal(born) || !p.Life.From.Equal(born) || !p.Life.Until.IsZero() || len(p.Weak) > 0 {
				t.Errorf("%s %q: %+v", algorithm, args, p)
			}
			if !DetectSignature(content) && !DetectClearsigned(content) {
				t.Errorf("%s %q: not recognised", algorithm, args)
			}
			if args[0] == "--detach-sign" {
				wantProblem(t, proveOne(t, content, []byte("another\n"), ring), "another file")
			}
		}
	}
}

func TestGPGTextmode(t *testing.T) {
	g := newGPG(t)
	id := g.key("text", "ed25519", "sign", "0")
	ring, content := holding("text", g.export(id)), g.sign(id, "--detach-sign", "--textmode")
	windows := bytes.ReplaceAll(document, []byte("\n"), []byte("\r\n"))
	for _, of := range [][]byte{document, windows} {
		p := proveOne(t, content, of, ring)
		wantGood(t, p)
		if !strings.Contains(p.Scope, "LF or CR LF is not covered") || !g.accepts(content, of) {
			t.Errorf("%+v", p)
		}
	}
	wantProblem(t, proveOne(t, content, bytes.ReplaceAll(document, []byte("\n"), []byte(" \n")), ring), "another file")
}

func TestGPGClearsigned(t *testing.T) {
	g := newGPG(t)
	id := g.key("clear", "rsa2048", "sign", "0")
	ring, content := holding("clear", g.export(id)), string(g.sign(id, "--clear-sign"))
	wantText := "the first line\nthe second\n- the last\n" // white space at the end of a line is not signed
	for name, c := range map[string]struct{ content, note string }{
		"as it is":         {content, ""},
		"blank lines":      {"\n\n" + content + "\n\n", ""},
		"text before":      {"Pay 100 to Mallory\n" + content, `19 bytes before the signed text are not covered by the signature: "Pay 100 to Mallory"`},
		"text after":       {content + "SHA256: 00\n", `11 bytes after the signed text are not covered by the signature: "SHA256: 00"`},
		"white space":      {strings.Replace(content, "the second", "the second \t", 1), ""},
		"a comment":        {strings.Replace(content, "SIGNATURE-----\n", "SIGNATURE-----\nComment: and pay Mallory\n", 1), ""},
		"Windows newlines": {strings.ReplaceAll(content, "\n", "\r\n"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := proveOne(t, []byte(c.content), nil, ring)
			wantGood(t, p)
			if p.Signed == nil || string(p.Signed.Content) != wantText || strings.Join(p.Notes, "; ") != c.note {
				t.Errorf("%+v, %q", p, p.Notes)
			}
		})
	}
}

func TestGPGWeakHash(t *testing.T) {
	g := newGPG(t)
	id := g.key("weak", "rsa2048", "sign", "0")
	ring := holding("weak", g.export(id))
	for _, how := range []string{"--detach-sign", "--clear-sign"} {
		p := proveOne(t, g.sign(id, how, "--digest-algo", "SHA1"), document, ring)
		wantGood(t, p)
		if len(p.Weak) != 1 || p.Weak[0] != proof.SHA1 {
			t.Errorf("%s: %+v", how, p)
		}
	}
	for _, hash := range []string{"MD5", "RIPEMD160"} {
		content, _, err := g.try(string(document), "--local-user", id, "--detach-sign", "--allow-weak-digest-algos", "--digest-algo", hash)
		if err != nil {
			t.Logf("this gpg does not sign by %s", hash)
			continue
		}
		wantProblem(t, proveOne(t, content, document, ring), "which is broken")
	}
}

func TestGPGShortRSA(t *testing.T) {
	g := newGPG(t)
	id := g.key("short", "rsa1024", "sign", "0")
	p := proveOne(t, g.sign(id, "--detach-sign"), document, holding("short", g.export(id)))
	wantGood(t, p)
	if len(p.Weak) != 1 || p.Weak[0] != proof.ShortRSA {
		t.Errorf("%+v", p)
	}
}

func TestGPGShortDSA(t *testing.T) {
	g := newGPG(t)
	id := g.key("short", "dsa1024", "sign", "0")
	wantProblem(t, proveOne(t, g.sign(id, "--detach-sign"), document, holding("short", g.export(id))), "DSA key is too weak")
}

func TestGPGSubkeyAndExpiry(t *testing.T) {
	g := newGPG(t)
	id := g.key("owner", "rsa2048", "cert", "20d")
	g.now = born.Add(24 * time.Hour)
	g.run("", "--quick-add-key", id, "ed25519", "sign", "5d")
	sub := g.fingerprints(id)[1]
	content := g.sign(sub, "--detach-sign", "--default-sig-expire", "2d")
	p := proveOne(t, content, document, holding("owner", g.export(id)))
	wantGood(t, p)
	if p.KeyID != sub || p.Signer != "owner, "+id || !p.Life.From.Equal(g.now) || !p.Life.Until.Equal(g.now.Add(48*time.Hour)) {
		t.Errorf("%+v, want the subkey's birth, and the signature's end", p)
	}
	content = g.sign(sub, "--detach-sign")
	if p := proveOne(t, content, document, holding("owner", g.export(id))); !p.Life.Until.Equal(g.now.Add(5 * 24 * time.Hour)) {
		t.Errorf("%+v, want the subkey's end", p)
	}
	g.now = born.Add(48 * time.Hour)
	g.run("", "--quick-set-expire", id, "60d", "*")
	if p := proveOne(t, content, document, holding("owner", g.export(id))); !p.Life.Until.Equal(born.Add(20 * 24 * time.Hour)) {
		t.Errorf("%+v, want the primary key's end: the newest binding of the subkey goes further", p)
	}
	g.run("", "--quick-set-expire", id, "0")
	later := holding("owner", g.export(id))
	if p := proveOne(t, content, document, later); !p.Life.Until.Equal(born.Add(62 * 24 * time.Hour)) {
		t.Errorf("%+v, want the subkey's new end", p)
	}
	g.now = born.Add(365 * 24 * time.Hour)
	if p := proveOne(t, content, document, later); p.Life.Problem(g.now) == "" || p.Life.Problem(born.Add(50*24*time.Hour)) != "" {
		t.Errorf("%+v, want it to be good in its life only", p)
	}
}

func TestGPGRevoked(t *testing.T) {
	for name, c := range map[string]struct {
		reason      string
		compromised bool
	}{"no reason": {"0", true}, "compromised": {"1", true}, "superseded": {"2", false}, "no longer used": {"3", false}} {
		t.Run(name, func(t *testing.T) {
			g := newGPG(t)
			id := g.key("gone", "ed25519", "sign", "0")
			g.run("", "--quick-add-key", id, "ed25519", "sign", "0")
			sub, before := g.fingerprints(id)[1], holding("gone", g.export(id))
			content := g.sign(sub+"!", "--detach-sign")
			g.now = born.Add(10 * 24 * time.Hour)
			g.run("key 1\nrevkey\ny\n"+c.reason+"\n\ny\nsave\n", "--command-fd", "0", "--no-batch", "--edit-key", id)
			wantRevoked(t, content, g, sub, c.compromised)
			wantLife(t, g.sign(id+"!", "--detach-sign"), g, proof.Life{From: born})
			g.revokePrimary(id, c.reason)
			wantRevoked(t, content, g, sub, c.compromised)
			wantRevoked(t, content, g, sub, c.compromised, before.Material)
			if p := proveOne(t, content, document, before); !p.Life.Revoked.IsZero() {
				t.Errorf("%+v, want it to be good by the certificate of before", p)
			}
		})
	}
}

func (g *gpg) revokePrimary(id, reason string) {
	g.t.Helper()
	g.run("revkey\ny\n"+reason+"\n\ny\nsave\n", "--command-fd", "0", "--no-batch", "--edit-key", id)
}

func wantLife(t *testing.T, content []byte, g *gpg, life proof.Life) {
	t.Helper()
	p := proveOne(t, content, document, holding("gone", g.export("gone")))
	wantGood(t, p)
	if !p.Life.From.Equal(life.From) || !p.Life.Until.Equal(life.Until) || !p.Life.Revoked.Equal(life.Revoked) || p.Life.Compromised != life.Compromised {
		t.Errorf("%+v, want %+v", p.Life, life)
	}
}

// wantRevoked makes sure that the key counts as revoked, even if an older copy of its certificate is an anchor, too.
func wantRevoked(t *testing.T, content []byte, g *gpg, id string, compromised bool, older ...string) {
	t.Helper()
	wantLife(t, content, g, proof.Life{From: born, Revoked: g.now, Compromised: compromised})
	if len(older) == 0 {
		return
	}
	p := proveOne(t, content, document, holding("older", older...), holding("newer", g.export("gone")))
	if !p.Life.Revoked.Equal(g.now) || len(p.Anchors) != 2 || p.KeyID != id {
		t.Errorf("%+v", p)
	}
}
