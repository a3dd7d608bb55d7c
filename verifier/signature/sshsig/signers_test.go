package sshsig

import (
	"path"
	"strings"
	"testing"

	"github.com/hiddeco/sshsig"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

func TestUnreadable(t *testing.T) {
	key := keyText(newEd25519(t).PublicKey())
	ca := newEd25519(t)
	cert := keyText(certify(t, ca, newEd25519(t), nil).PublicKey())
	for text, want := range map[string]string{
		"":                      "no key",
		"# nothing\n":           "no key",
		"alice":                 "line 1",
		"\n\nalice " + key[:40]: "line 3: the key",
		"alice ssh-rsa " + strings.Fields(key)[1]: "is called",
		"alice " + cert:                                  "certificate",
		"alice ssh-dss AAAA":                             "cannot be read",
		"alice,,bob " + key:                              "empty pattern",
		"!alice " + key:                                  "negated",
		`alice"bob ` + key:                               "quote",
		`"alice ` + key:                                  "quote",
		`"alice"bob ` + key:                              "quote",
		"alice namespaces " + key:                        "not known",
		`alice cert-authority="yes" ` + key:              "not known",
		`alice namespaces="" ` + key:                     "empty",
		`alice namespaces="file"git ` + key:              "follows",
		`alice ,namespaces="file" ` + key:                "not known",
		`alice namespaces="file",` + key:                 "not known",
		`alice valid-after="20230231" ` + key:            "no time",
		`alice valid-after="202302" ` + key:              "no time",
		`alice valid-before="19700101" ` + key:           "no time",
		"alice\x00 " + key:                               "no text",
		"alice \xff" + key:                               "no text",
		strings.Repeat("alice "+key+"\n", 257):           "more than 256 keys",
		strings.Repeat("#", 65<<10):                      "65536 at most",
		strings.Repeat("a", 5000) + " " + key:            "4096 at most",
		"alice " + key + "\nbob " + strings.ToUpper(key): "line 2",
	} {
		a := sshAnchor("bad", text)
		v, err := New([]anchor.Anchor{a})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), a.Name) || v == nil || len(err.Error()) > 500 {
			t.Errorf("%.80q: %v, want %q", text, err, want)
		}
		if s, err := Describe(a); err == nil {
			t.Errorf("%.80q: %s", text, s)
		}
	}
}

func TestDescribe(t *testing.T) {
	key := newRSA(t, 2048).PublicKey()
	got, err := Describe(sshAnchor("a", "alice@example.com "+keyText(key)+"\n* cert-authority "+keyText(newEd25519(t).PublicKey())))
	if err != nil || !strings.HasPrefix(got, "alice@example.com RSA "+fingerprint(key)+"; * by authority ED25519 SHA256:") {
		t.Errorf("%s, %v", got, err)
	}
	got, err = Describe(sshAnchor("a", strings.Repeat(strings.Repeat("é", 500)+" "+keyText(key)+"\n", 20)))
	if err != nil || len(got) >= 200 || !strings.HasSuffix(got, "; 19 more") {
		t.Errorf("%s (%d), %v", got, len(got), err)
	}
}

func TestTimeAnchors(t *testing.T) {
	s := newEd25519(t)
	a := sshAnchor("a", "* "+keyText(s.PublicKey()))
	a.Purpose = anchor.Time
	v, err := New([]anchor.Anchor{a})
	if err != nil {
		t.Fatal(err)
	}
	list, err := v.Prove(t.Context(), makeSignature(t, s, sshsig.HashSHA256, NamespaceFile, payload), proof.Bytes(proof.Artifact, "f", payload))
	if err != nil || list[0].Problem == "" {
		t.Errorf("an anchor for time stamps signs: %+v, %v", list, err)
	}
}

// FuzzPattern holds the matcher against another one.
func FuzzPattern(f *testing.F) {
	for _, p := range []string{"", "*", "a*b?c", "**a", "?*?"} {
		f.Add(p, "aab")
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if strings.ContainsAny(pattern+s, `[\/`) || len(pattern)+len(s) > 40 || !ascii(pattern+s) {
			t.Skip("means something else to package path")
		}
		want, err := path.Match(pattern, s)
		if got := matchOne(pattern, s); err != nil || got != want {
			t.Errorf("%q, %q: %t, want %t, %v", pattern, s, got, want, err)
		}
	})
}

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}

func FuzzAllowedSigners(f *testing.F) {
	key := keyText(newEd25519(f).PublicKey())
	for _, s := range []string{key, "a,!b " + key + " c", `"a b" cert-authority,namespaces="fi\"le,*",valid-after="20200101Z" ` + key, "# x\n\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lines, err := parseSigners(text)
		if (err == nil) != (len(lines) > 0) || len(lines) > maxLines {
			t.Fatalf("%d lines, %v", len(lines), err)
		}
		for _, l := range lines {
			if l.key == nil || len(l.principals) == 0 || len(l.namespaces) == 0 || l.number == 0 {
				t.Errorf("%+v", l)
			}
		}
		if s, err := Describe(sshAnchor("a", text)); err == nil && (s == "" || len(s) >= 200 || strings.Contains(s, "\n")) {
			t.Errorf("%q", s)
		}
	})
}

func FuzzSignature(f *testing.F) {
	ca, s := newEd25519(f), newEd25519(f)
	v, err := New([]anchor.Anchor{sshAnchor("a", "* "+keyText(s.PublicKey())+"\n* cert-authority "+keyText(ca.PublicKey()))})
	if err != nil {
		f.Fatal(err)
	}
	signed := []byte("another file")
	for _, by := range []struct{ content []byte }{{makeSignature(f, s, sshsig.HashSHA256, NamespaceFile, signed)},
		{makeSignature(f, certify(f, ca, s, nil), sshsig.HashSHA512, NamespaceFile, signed)},
		{makeSignature(f, newSecurityECDSA(f, 1), sshsig.HashSHA512, NamespaceGit, signed)}} {
		f.Add(by.content)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		list, err := v.Prove(t.Context(), content, proof.Bytes(proof.Artifact, "f", payload))
		if err != nil || len(list) == 0 {
			t.Fatalf("%+v, %v", list, err)
		}
		for _, p := range list {
			if p.Problem == "" || len(p.Problem) > 500 {
				t.Errorf("%+v", p)
			}
		}
	})
}
