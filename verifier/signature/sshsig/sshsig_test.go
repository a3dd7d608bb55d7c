package sshsig

import (
	"bytes"
	"crypto/elliptic"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
	"github.com/countersign-escrow/countersign/verifier/signature/signaturetest"
	"github.com/countersign-escrow/countersign/verifier/stocktest"
)

func TestPromises(t *testing.T) {
	ca := newEd25519(t)
	for name, c := range map[string]struct {
		signer ssh.Signer
		line   string
	}{
		"ed25519":     {signer: newEd25519(t)},
		"ecdsa":       {signer: newECDSA(t, elliptic.P384())},
		"rsa":         {signer: newRSA(t, 2048)},
		"sk-ed25519":  {signer: newSecurityEd25519(t, userPresent)},
		"certificate": {signer: certify(t, ca, newEd25519(t), nil), line: "*@example.com cert-authority " + keyText(ca.PublicKey())},
	} {
		t.Run(name, func(t *testing.T) {
			if c.line == "" {
				c.line = "alice@example.com " + keyText(c.signer.PublicKey())
			}
			sig := makeSignature(t, c.signer, sshsig.HashSHA512, NamespaceFile, payload)
			signaturetest.Run(t, signaturetest.Case{
				New:      func(a []anchor.Anchor) (signaturetest.Prover, error) { return New(a) },
				Signer:   sshAnchor("signer", c.line),
				Stranger: sshAnchor("stranger", "bob@example.com "+keyText(newEd25519(t).PublicKey())),
				Content:  sig,
				Signed:   payload,
				Bytes:    signatureBytes(t, sig),
			})
		})
	}
}

// signatureBytes are places in the base64 of key and signature, less the last characters, of which not all bits may matter.
func signatureBytes(t *testing.T, sig []byte) []int {
	t.Helper()
	begin, end := len(armour)+1, bytes.Index(sig, []byte("\n-----END"))
	if end < begin {
		t.Fatalf("%s", sig)
	}
	return []int{begin + 2, begin + 30, end - 20, end - 8}
}

func TestProof(t *testing.T) {
	ca, s := newEd25519(t), newSecurityEd25519(t, userPresent|userVerified)
	signer := certify(t, ca, s, func(c *ssh.Certificate) { c.ValidAfter, c.ValidBefore = 1_700_000_000, 1_800_000_000 })
	v, err := New([]anchor.Anchor{sshAnchor("a", `*@example.com cert-authority,valid-before="20260101" `+keyText(ca.PublicKey()))})
	if err != nil {
		t.Fatal(err)
	}
	list, err := v.Prove(t.Context(), makeSignature(t, signer, sshsig.HashSHA256, NamespaceFile, payload), proof.Bytes(proof.Artifact, "f", payload))
	if err != nil || len(list) != 1 || list[0].Problem != "" {
		t.Fatalf("%+v, %v", list, err)
	}
	p := list[0]
	until := time.Date(2026, 1, 1, 0, 0, 1, 0, time.UTC)
	if p.KeyID != ssh.FingerprintSHA256(s.public) || !p.Life.From.Equal(time.Unix(1_700_000_000, 0)) || !p.Life.Until.Equal(until) {
		t.Errorf("%+v", p)
	}
	if !strings.Contains(p.Signer, "alice@example.com") || !strings.Contains(p.Signer, "alice's laptop") || len(p.Weak) > 0 || !p.Claim.IsZero() {
		t.Errorf("%+v", p)
	}
	if notes := strings.Join(p.Notes, "\n"); !strings.Contains(notes, "user verified") || !strings.Contains(notes, "serial number 12") {
		t.Errorf("%q", p.Notes)
	}
}

// TestDSA makes sure that a signature by DSA is refused as such, whatever the anchors hold.
func TestDSA(t *testing.T) {
	n := big.NewInt(7)
	key := ssh.Marshal(struct {
		Type       string
		P, Q, G, Y *big.Int
	}{"ssh-dss", new(big.Int).Lsh(n, 1021), new(big.Int).Lsh(n, 157), n, n})
	blob := ssh.Marshal(struct {
		Magic                          [6]byte
		Version                        uint32
		Key                            []byte
		Namespace, Reserved, Hash, Sig string
	}{[6]byte([]byte("SSHSIG")), 1, key, NamespaceFile, "", "sha512", string(ssh.Marshal(ssh.Signature{Format: "ssh-dss", Blob: make([]byte, 40)}))})
	content := pem.EncodeToMemory(&pem.Block{Type: sshsig.PEMType, Bytes: blob})
	if got := proofBy(t, keyText(newEd25519(t).PublicKey()), content, NamespaceFile); !strings.Contains(got.Problem, "ssh-dss") {
		t.Errorf("%+v", got)
	}
}

// TestIntersection makes sure that of the times of certificate and line the narrower ones hold, and that there must be some left.
func TestIntersection(t *testing.T) {
	ca, s := newEd25519(t), newEd25519(t)
	const from, until = 1_700_000_000, 1_800_000_000
	cert := certify(t, ca, s, func(c *ssh.Certificate) { c.ValidAfter, c.ValidBefore = from, until })
	sig := makeSignature(t, cert, sshsig.HashSHA256, NamespaceFile, payload)
	for _, c := range []struct {
		after, before     int64 // of the line
		wantFrom, wantEnd int64 // 0: never good
	}{
		{from - 9, until + 9, from, until},
		{from + 9, until - 9, from + 9, until - 8}, // valid-before is the last good second
		{until, until + 9, 0, 0},
		{from - 9, from - 1, 0, 0},
	} {
		line := "* cert-authority,valid-after=" + day(time.Unix(c.after, 0)) + ",valid-before=" + day(time.Unix(c.before, 0)) + " " +
			keyText(ca.PublicKey())
		p := proofBy(t, line, sig, NamespaceFile)
		if c.wantFrom == 0 {
			if p.Problem == "" {
				t.Errorf("%+v: %+v", c, p)
			}
			continue
		}
		if p.Problem != "" || p.Life.From.Unix() != c.wantFrom || p.Life.Until.Unix() != c.wantEnd {
			t.Errorf("%+v: %+v", c, p)
		}
	}
}

// TestLives has one key in two anchors that differ in when it is good: neither may lend its time to the other.
func TestLives(t *testing.T) {
	s := newEd25519(t)
	key := keyText(s.PublicKey())
	v, err := New([]anchor.Anchor{sshAnchor("old", `* valid-before="20200101" `+key), sshAnchor("new", "* "+key),
		sshAnchor("both", "* "+key+"\n"+`bob valid-before="20200101" `+key)})
	if err != nil {
		t.Fatal(err)
	}
	list, err := v.Prove(t.Context(), makeSignature(t, s, sshsig.HashSHA256, NamespaceFile, payload), proof.Bytes(proof.Artifact, "f", payload))
	if err != nil || len(list) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	for i, want := range [][]string{{"old", "both"}, {"new", "both"}} {
		p := list[i]
		if len(p.Anchors) != 2 || !strings.HasSuffix(p.Anchors[0].Name, want[0]) || !strings.HasSuffix(p.Anchors[1].Name, want[1]) ||
			p.Life.Until.IsZero() != (i == 1) {
			t.Errorf("%+v", p)
		}
	}
}

func TestWeak(t *testing.T) {
	short, long := newRSA(t, 1024), newRSA(t, 2048)
	for name, c := range map[string]struct {
		signer ssh.Signer
		line   string
		weak   bool
	}{
		"short":                {short, "* " + keyText(short.PublicKey()), true},
		"long":                 {long, "* " + keyText(long.PublicKey()), false},
		"by a short":           {certify(t, short, newEd25519(t), nil), "* cert-authority " + keyText(short.PublicKey()), true},
		"short, by an ed25519": {certify(t, long, withAlgorithm{short, ssh.KeyAlgoRSASHA512}, nil), "* cert-authority " + keyText(long.PublicKey()), true},
	} {
		v, err := New([]anchor.Anchor{sshAnchor("a", c.line)})
		if err != nil {
			t.Fatal(err)
		}
		list, err := v.Prove(t.Context(), makeSignature(t, c.signer, sshsig.HashSHA256, NamespaceFile, payload), proof.Bytes(proof.Artifact, "f", payload))
		if err != nil || len(list) != 1 || list[0].Problem != "" || (len(list[0].Weak) > 0) != c.weak {
			t.Errorf("%s: %+v, %v", name, list, err)
		}
	}
}

// TestProblems makes sure that refusals say why, and name the anchor's line where one has the key.
func TestProblems(t *testing.T) {
	s := newEd25519(t)
	key := keyText(s.PublicKey())
	for signers, want := range map[string]string{
		"# one\n* namespaces=\"git\" " + key:                "line 2 of organizations/o/trustAnchors/a has it",
		"* " + keyText(newEd25519(t).PublicKey()):           ssh.FingerprintSHA256(s.PublicKey()),
		"* cert-authority " + key:                           "no trust anchor",
		`* namespaces="` + strings.Repeat("\x7f?", 9) + `"`: "no trust anchor",
	} {
		v, _ := New([]anchor.Anchor{sshAnchor("a", signers)})
		list, err := v.Prove(t.Context(), makeSignature(t, s, sshsig.HashSHA256, NamespaceFile, payload), proof.Bytes(proof.Artifact, "f", payload))
		if err != nil || len(list) != 1 || !strings.Contains(list[0].Problem, want) || !strings.Contains(list[0].Problem, "trust anchor") {
			t.Errorf("%q: %+v, %v", signers, list, err)
		}
	}
	v, _ := New(nil)
	hostile := makeSignature(t, s, sshsig.HashSHA256, strings.Repeat("\x1b[31m", 10_000), payload)
	list, err := v.Prove(t.Context(), hostile, proof.Bytes(proof.Artifact, "f", payload))
	if err != nil || len(list) != 1 || len(list[0].Problem) > 500 || strings.Contains(list[0].Problem, "\x1b") {
		t.Errorf("%+v, %v", list, err)
	}
}

// TestLineEnds judges a signature with carriage returns, which ssh-keygen reads from some version on.
func TestLineEnds(t *testing.T) {
	s := newEd25519(t)
	sig := makeSignature(t, s, sshsig.HashSHA512, NamespaceFile, payload)
	if got := proofBy(t, keyText(s.PublicKey()), bytes.ReplaceAll(sig, []byte("\n"), []byte("\r\n")), NamespaceFile); got.Problem != "" {
		t.Errorf("%+v", got)
	}
}

// TestStockSignatures judges what stock ssh-keygen signs, bare and with a certificate of its own making.
func TestStockSignatures(t *testing.T) {
	stocktest.Need(t, "ssh-keygen")
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			keygen(t, dir, "-q", "-t", kind, "-N", "", "-f", "key", "-C", "alice")
			keygen(t, dir, "-q", "-t", kind, "-N", "", "-f", "ca", "-C", "authority")
			pub, ca := strings.TrimSpace(read(t, dir, "key.pub")), strings.TrimSpace(read(t, dir, "ca.pub"))
			sig := stockSign(t, dir, "key", NamespaceFile)
			if got := proofBy(t, pub, sig, NamespaceFile); got.Problem != "" {
				t.Errorf("a .pub file as it is: %+v", got)
			}
			if got := proofBy(t, "* "+pub, stockSign(t, dir, "key", NamespaceGit), NamespaceFile); got.Problem == "" {
				t.Errorf("for git: %+v", got)
			}
			keygen(t, dir, "-q", "-s", "ca", "-I", "laptop", "-n", "alice@example.com", "-V", "20200101:20300101", "key.pub")
			got := proofBy(t, "*@example.com cert-authority "+ca, stockSign(t, dir, "key-cert.pub", NamespaceFile), NamespaceFile)
			if got.Problem != "" || got.Life.Until.Year() < 2029 || got.Signer != `alice@example.com (certificate "laptop")` {
				t.Errorf("certificate: %+v", got)
			}
			keygen(t, dir, "-q", "-s", "ca", "-I", "laptop", "-n", "alice@example.com", "-O", "force-command=/bin/true", "key.pub")
			if got := proofBy(t, "* cert-authority "+ca, stockSign(t, dir, "key-cert.pub", NamespaceFile), NamespaceFile); got.Problem == "" {
				t.Errorf("certificate with a critical option: %+v", got)
			}
		})
	}
}

func keygen(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("ssh-keygen", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen %s: %v\n%s", args, err, out)
	}
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func stockSign(t *testing.T, dir, key, namespace string) []byte {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "file"), payload, 0o600); err != nil {
		t.Fatal(err)
	}
	os.Remove(filepath.Join(dir, "file.sig"))
	keygen(t, dir, "-q", "-Y", "sign", "-f", key, "-n", namespace, "file")
	return []byte(read(t, dir, "file.sig"))
}

// proofBy judges a signature of the payload by one allowed-signers file.
func proofBy(t *testing.T, signers string, sig []byte, namespace string) proof.Proof {
	t.Helper()
	v, err := New([]anchor.Anchor{sshAnchor("a", signers)})
	if err != nil {
		t.Fatal(err)
	}
	list, err := v.ProveNamespace(t.Context(), sig, proof.Bytes(proof.Artifact, "file", payload), namespace)
	if err != nil || len(list) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	return list[0]
}

// TestSign has stock ssh-keygen and this package judge what Sign makes.
func TestSign(t *testing.T) {
	stocktest.Need(t, "ssh-keygen")
	r := newRSA(t, 2048)
	for name, s := range map[string]ssh.Signer{"ed25519": newEd25519(t), "p256": newECDSA(t, elliptic.P256()), "rsa": r} {
		sig, err := Sign(s, bytes.NewReader(payload))
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, diffCase{signers: "* " + keyText(s.PublicKey()), signature: sig, good: true}.run)
	}
	ca := newEd25519(t)
	cert, err := ssh.NewCertSigner(certify(t, ca, r, nil).PublicKey().(*ssh.Certificate), r)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := Sign(cert, bytes.NewReader(payload))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("certificate of RSA", diffCase{signers: "* cert-authority " + keyText(ca.PublicKey()), signature: sig, good: true}.run)
}

func TestSignRefuses(t *testing.T) {
	old := withAlgorithm{newRSA(t, 2048), ssh.KeyAlgoRSA}
	for name, s := range map[string]ssh.Signer{"nil": nil, "untouched": newSecurityEd25519(t, 0), "SHA-1": old} {
		if sig, err := Sign(s, bytes.NewReader(payload)); err == nil {
			t.Errorf("%s: %s", name, sig)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	content := bytes.Repeat([]byte{'x'}, 1<<20)
	s := newEd25519(b)
	v, err := New([]anchor.Anchor{sshAnchor("a", "* "+keyText(s.PublicKey()))})
	if err != nil {
		b.Fatal(err)
	}
	sig, of := makeSignature(b, s, sshsig.HashSHA512, NamespaceFile, content), proof.Bytes(proof.Artifact, "file", content)
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		if list, err := v.Prove(b.Context(), sig, of); err != nil || list[0].Problem != "" {
			b.Fatal(list, err)
		}
	}
}

// TestOneSignatureInAFile: a PEM reader passes over a block that it cannot read, and takes the next.
func TestOneSignatureInAFile(t *testing.T) {
	s := newEd25519(t)
	good := string(makeSignature(t, s, sshsig.HashSHA256, NamespaceFile, payload))
	for _, before := range []string{armour + "\n!!!!\n-----END SSH SIGNATURE-----\n", armour + "\n", armour + " \n" + good[len(armour):]} {
		if p := proofBy(t, "* "+keyText(s.PublicKey()), []byte(before+good), NamespaceFile); p.Problem == "" {
			t.Errorf("%.70q before it: %+v", before, p)
		}
	}
}

// TestHostilePrincipals: a user of an authority may have chosen the name that is certified.
func TestHostilePrincipals(t *testing.T) {
	ca := newEd25519(t)
	signer := certify(t, ca, newEd25519(t), func(c *ssh.Certificate) { c.ValidPrincipals = []string{"\x1b[2Ka\u202e\xff", "alice,root", "bob"} })
	p := proofBy(t, "* cert-authority "+keyText(ca.PublicKey()), makeSignature(t, signer, sshsig.HashSHA256, NamespaceFile, payload), NamespaceFile)
	if !strings.HasPrefix(p.Signer, `"\x1b[2Ka\u202e\xff","alice,root",bob (certificate `) {
		t.Errorf("%q", p.Signer)
	}
	if _, err := parseSigners("a\u202e " + keyText(ca.PublicKey())); err == nil {
		t.Error("a principal that changes the direction of what follows is taken")
	}
}

// TestOptionForgotten: the key of an authority whose principals were forgotten is not taken for a signer's.
func TestOptionForgotten(t *testing.T) {
	key := keyText(newEd25519(t).PublicKey())
	for _, line := range []string{"cert-authority " + key, "Cert-Authority " + key, `"cert-authority" ` + key, `namespaces="file" ` + key} {
		if lines, err := parseSigners(line); err == nil || !strings.Contains(err.Error(), "principals") {
			t.Errorf("%s: %+v, %v", line, lines, err)
		}
	}
}
