package sshsig

import (
	"bytes"
	"crypto/elliptic"
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
	"github.com/countersign-escrow/countersign/verifier/stocktest"
)

var payload = []byte("what is signed\n")

// diffCase is put to ssh-keygen and to this package.
type diffCase struct {
	name      string
	signers   string // allowed-signers file
	signature []byte
	principal string // alice@example.com where it is ""
	namespace string // that is asked for; file where it is ""
	good      bool   // what this package says
	differs   string // why ssh-keygen says the opposite, if it does
}

// TestAgainstStockTool puts the same allowed signers, signature and file to ssh-keygen -Y verify and to this package.
func TestAgainstStockTool(t *testing.T) {
	stocktest.Need(t, "ssh-keygen")
	for _, cases := range [][]diffCase{keyCases(t), lineCases(t), certificateCases(t), securityKeyCases(t), formatCases(t)} {
		for _, c := range cases {
			t.Run(c.name, c.run)
		}
	}
}

func (c diffCase) run(t *testing.T) {
	if c.principal == "" {
		c.principal = "alice@example.com"
	}
	if c.namespace == "" {
		c.namespace = NamespaceFile
	}
	stock, output := c.stock(t)
	ours, list := c.ours(t)
	if ours != c.good {
		t.Errorf("good: %t, want %t: %+v", ours, c.good, list)
	}
	if want := c.good == (c.differs == ""); stock != want {
		t.Errorf("ssh-keygen says %t, want %t: %s", stock, want, output)
	}
}

func (c diffCase) stock(t *testing.T) (bool, string) {
	dir := t.TempDir()
	signers, sig := filepath.Join(dir, "signers"), filepath.Join(dir, "sig")
	for name, content := range map[string][]byte{signers: []byte(c.signers), sig: c.signature} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("ssh-keygen", "-Y", "verify", "-f", signers, "-I", c.principal, "-n", c.namespace, "-s", sig)
	cmd.Env = append(os.Environ(), "TZ=UTC")
	cmd.Stdin = bytes.NewReader(payload)
	out, err := cmd.CombinedOutput()
	return err == nil, string(out)
}

// ours judges as of now, as ssh-keygen does.
func (c diffCase) ours(t *testing.T) (bool, []proof.Proof) {
	v, err := New([]anchor.Anchor{sshAnchor("a", c.signers)})
	if err != nil {
		t.Log(err)
	}
	list, err := v.ProveNamespace(t.Context(), c.signature, proof.Bytes(proof.Artifact, "file", payload), c.namespace)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		if p.Problem == "" && p.Life.Problem(time.Now()) == "" {
			return true, list
		}
	}
	return false, list
}

func keyCases(t *testing.T) (cases []diffCase) {
	short := newRSA(t, 1024)
	for name, s := range map[string]ssh.Signer{"ed25519": newEd25519(t), "p256": newECDSA(t, elliptic.P256()), "p384": newECDSA(t, elliptic.P384()),
		"p521": newECDSA(t, elliptic.P521()), "rsa": newRSA(t, 2048), "short rsa": short} {
		for _, hash := range []sshsig.HashAlgorithm{sshsig.HashSHA256, sshsig.HashSHA512} {
			c := diffCase{name: name + " " + string(hash), signers: "alice@example.com " + keyText(s.PublicKey()) + " comment\n", good: true,
				signature: makeSignature(t, s, hash, NamespaceFile, payload)}
			cases = append(cases, c)
			c.name += ", other file"
			c.signature = makeSignature(t, s, hash, NamespaceFile, []byte("other"))
			c.good = false
			cases = append(cases, c)
		}
	}
	return cases
}

func lineCases(t *testing.T) []diffCase {
	s, other := newEd25519(t), newEd25519(t)
	key := keyText(s.PublicKey())
	good := makeSignature(t, s, sshsig.HashSHA512, NamespaceFile, payload)
	git := makeSignature(t, s, sshsig.HashSHA512, NamespaceGit, payload)
	email := makeSignature(t, s, sshsig.HashSHA512, "email", payload)
	now := time.Now()
	past, future := now.Add(-time.Hour), now.Add(time.Hour)
	return []diffCase{
		{name: "patterns", signers: "bob@*,*@example.???,!eve@* " + key, signature: good, good: true},
		{name: "quoted principals", signers: `"alice@example.com,bob" ` + key, signature: good, good: true},
		{name: "other key", signers: "* " + keyText(other.PublicKey()), signature: good},
		{name: "second line", signers: "# keys\r\n\n * " + keyText(other.PublicKey()) + "\n\t*\t" + key + "\tcomment\r\n", signature: good, good: true},
		{name: "namespace allowed", signers: `* namespaces="git,f*e" ` + key, signature: good, good: true},
		{name: "namespace not allowed", signers: `* namespaces="git" ` + key, signature: good},
		{name: "namespace negated", signers: `* namespaces="*,!file" ` + key, signature: good},
		{name: "option in capitals", signers: `* NameSpaces="file",VALID-AFTER="20200101" ` + key, signature: good, good: true},
		{name: "git for git", signers: "* " + key, signature: git, namespace: NamespaceGit, good: true},
		{name: "git for file", signers: "* " + key, signature: git},
		{name: "file for git", signers: "* " + key, signature: good, namespace: NamespaceGit},
		{name: "email, not named", signers: "* " + key, signature: email, namespace: "email",
			differs: "a line that names no namespaces is for file and git"},
		{name: "email, named", signers: `* namespaces="email" ` + key, signature: email, namespace: "email", good: true},
		{name: "not yet valid", signers: "* valid-after=" + day(future) + " " + key, signature: good},
		{name: "valid", signers: "* valid-after=" + day(past) + ",valid-before=" + day(future) + " " + key, signature: good, good: true},
		{name: "no longer valid", signers: "* valid-before=" + day(past) + " " + key, signature: good},
		{name: "expired, and again", signers: "* valid-before=" + day(past) + " " + key + "\n* valid-after=" + day(past) + " " + key, signature: good,
			good: true},
		{name: "day", signers: `* valid-after="20200101",valid-before="20900101z" ` + key, signature: good, good: true},
		{name: "minute", signers: `* valid-after="202001012359Z" ` + key, signature: good, good: true},
		{name: "before is not after", signers: `* valid-after="20200102",valid-before="20200102" ` + key, signature: good},
		{name: "no time", signers: `* valid-after="yesterday" ` + key, signature: good},
		{name: "value without quotes", signers: "* namespaces=file " + key, signature: good},
		{name: "unclosed quote", signers: `* namespaces="file ` + key, signature: good},
		{name: "unknown option", signers: "* no-touch-required " + key, signature: good},
		{name: "option twice", signers: `* namespaces="file",namespaces="file" ` + key, signature: good},
		{name: "authority's line", signers: "* cert-authority " + key, signature: good},
		{name: "bad line first", signers: "* nonsense\n* " + key, signature: good, differs: "one bad line makes all of the file unreadable"},
		{name: "bare key", signers: key, signature: good, good: true, differs: "a .pub file is no allowed-signers file for ssh-keygen"},
		{name: "no principals but no", signers: "!bob " + key, signature: good},
	}
}

func certificateCases(t *testing.T) (cases []diffCase) {
	ca, s := newEd25519(t), newEd25519(t)
	line := "*@example.com cert-authority " + keyText(ca.PublicKey())
	add := func(name, signers string, good bool, differs string, change func(*ssh.Certificate)) {
		sig := makeSignature(t, certify(t, ca, s, change), sshsig.HashSHA512, NamespaceFile, payload)
		cases = append(cases, diffCase{name: "certificate: " + name, signers: signers, signature: sig, good: good, differs: differs})
	}
	now := time.Now()
	add("good", line, true, "", nil)
	add("for ever", line, true, "", func(c *ssh.Certificate) { c.ValidAfter, c.ValidBefore = 0, ssh.CertTimeInfinity })
	add("extensions", line, true, "", func(c *ssh.Certificate) { c.Extensions = map[string]string{"permit-pty": ""} })
	add("several principals", line, true, "", func(c *ssh.Certificate) { c.ValidPrincipals = []string{"root", "alice@example.com"} })
	add("other principal", line, false, "", func(c *ssh.Certificate) { c.ValidPrincipals = []string{"alice@example.org"} })
	add("no principal", line, false, "", func(c *ssh.Certificate) { c.ValidPrincipals = nil })
	add("pattern as principal", line, false, "", func(c *ssh.Certificate) { c.ValidPrincipals = []string{"*"} })
	add("of a host", line, false, "", func(c *ssh.Certificate) { c.CertType = ssh.HostCert })
	add("expired", line, false, "", func(c *ssh.Certificate) { c.ValidBefore = uint64(now.Add(-time.Minute).Unix()) })
	add("not yet valid", line, false, "", func(c *ssh.Certificate) { c.ValidAfter = uint64(now.Add(time.Minute).Unix()) })
	add("critical option", line, false, "ssh-keygen does not look at critical options of certificates", func(c *ssh.Certificate) {
		c.CriticalOptions = map[string]string{"force-command": "/bin/true"}
	})
	add("line not yet valid", strings.Replace(line, "cert-auth", "valid-after="+day(now.Add(time.Hour))+",cert-auth", 1), false, "", nil)
	add("line for git", strings.Replace(line, "cert-auth", `namespaces="git",cert-auth`, 1), false, "", nil)
	add("no authority's line", "* "+keyText(ca.PublicKey()), false, "", nil)
	add("its bare key", "* "+keyText(s.PublicKey()), false, "", nil)
	add("other authority", "* cert-authority "+keyText(newEd25519(t).PublicKey()), false, "", nil)
	forged := certify(t, ca, s, nil).(certified)
	forged.certificate.ValidPrincipals = []string{"alice@example.com", "root"}
	cases = append(cases, diffCase{name: "certificate: changed", signers: line,
		signature: makeSignature(t, forged, sshsig.HashSHA512, NamespaceFile, payload)})
	return append(cases, rsaCertificateCases(t)...)
}

func rsaCertificateCases(t *testing.T) []diffCase {
	ca, s := newRSA(t, 2048), newRSA(t, 2048)
	line := "* cert-authority " + keyText(ca.PublicKey())
	sign := func(ca, s ssh.Signer) []byte {
		return makeSignature(t, certify(t, ca, s, nil), sshsig.HashSHA512, NamespaceFile, payload)
	}
	return []diffCase{
		{name: "RSA certificate: good", signers: line, signature: sign(ca, withAlgorithm{s, ssh.KeyAlgoRSASHA512}), good: true},
		{name: "RSA certificate: SHA-256", signers: line,
			signature: sign(withAlgorithm{ca, ssh.KeyAlgoRSASHA256}, withAlgorithm{s, ssh.KeyAlgoRSASHA256}), good: true},
		{name: "RSA certificate: SHA-1", signers: line, signature: sign(ca, withAlgorithm{s, ssh.KeyAlgoRSA})},
		{name: "RSA certificate: SHA-1 of the authority", signers: line,
			signature: sign(withAlgorithm{ca, ssh.KeyAlgoRSA}, withAlgorithm{s, ssh.KeyAlgoRSASHA512}),
			differs:   "ssh-keygen still takes ssh-rsa of an authority"},
	}
}

func securityKeyCases(t *testing.T) (cases []diffCase) {
	ca := newEd25519(t)
	for name, make := range map[string]func(testing.TB, byte) securityKey{
		"sk-ed25519": func(t testing.TB, flags byte) securityKey { return newSecurityEd25519(t, flags) },
		"sk-ecdsa":   func(t testing.TB, flags byte) securityKey { return newSecurityECDSA(t, flags) },
	} {
		touched, verified, alone := make(t, userPresent), make(t, userPresent|userVerified), make(t, 0)
		sign := func(s ssh.Signer) []byte { return makeSignature(t, s, sshsig.HashSHA512, NamespaceFile, payload) }
		untouched := "ssh-keygen -Y verify does not look at the flag; sshd does"
		demands := func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{verifyRequired: ""} }
		line := "* cert-authority " + keyText(ca.PublicKey())
		cases = append(cases,
			diffCase{name: name, signers: "* " + keyText(touched.public), signature: sign(touched), good: true},
			diffCase{name: name + " verified", signers: "* " + keyText(verified.public), signature: sign(verified), good: true},
			diffCase{name: name + " untouched", signers: "* " + keyText(alone.public), signature: sign(alone), differs: untouched},
			diffCase{name: name + " other", signers: "* " + keyText(verified.public), signature: sign(touched)},
			diffCase{name: name + " certificate", signers: line, signature: sign(certify(t, ca, touched, nil)), good: true},
			diffCase{name: name + " verify-required", signers: line, signature: sign(certify(t, ca, verified, demands)), good: true},
			diffCase{name: name + " verify-required, not verified", signers: line, signature: sign(certify(t, ca, touched, demands)),
				differs: "ssh-keygen does not look at critical options of certificates"},
		)
	}
	return cases
}

func formatCases(t *testing.T) []diffCase {
	s, r := newEd25519(t), newRSA(t, 2048)
	line := "* " + keyText(s.PublicKey())
	good := makeSignature(t, s, sshsig.HashSHA512, NamespaceFile, payload)
	change := func(f func(*sshsig.Signature)) []byte {
		u, err := sshsig.Unarmor(good)
		if err != nil {
			t.Fatal(err)
		}
		f(u)
		return sshsig.Armor(u)
	}
	old, err := sshsig.Sign(bytes.NewReader(payload), withAlgorithm{r, ssh.KeyAlgoRSA}, sshsig.HashSHA512, NamespaceFile)
	if err != nil {
		t.Fatal(err)
	}
	return []diffCase{
		{name: "text before", signers: line, signature: append([]byte("hello\n"), good...)},
		{name: "version 2", signers: line, signature: change(func(s *sshsig.Signature) { s.Version = 2 })},
		{name: "hash md5", signers: line, signature: change(func(s *sshsig.Signature) { s.HashAlgorithm = "md5" })},
		{name: "hash sha256 by name", signers: line, signature: change(func(s *sshsig.Signature) { s.HashAlgorithm = sshsig.HashSHA256 })},
		{name: "bytes after the blob", signers: line, signature: change(func(s *sshsig.Signature) { s.Signature.Rest = []byte("more") })},
		{name: "other algorithm's name", signers: line, signature: change(func(s *sshsig.Signature) { s.Signature.Format = "ssh-rsa" })},
		{name: "other key in the signature", signers: line, signature: change(func(s *sshsig.Signature) { s.PublicKey = r.PublicKey() })},
		{name: "ssh-rsa, SHA-1", signers: "* " + keyText(r.PublicKey()), signature: sshsig.Armor(old)},
		{name: "twice", signers: line, signature: append(bytes.Clone(good), good...), differs: "ssh-keygen passes over what follows"},
	}
}
