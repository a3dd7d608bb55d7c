//go:build bench

package signature_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/gitobject"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
	"github.com/countersign-escrow/countersign/verifier/signature/sigstorebundle"
)

// gnupg makes a home folder with a key, and the anchor of that.
func (b *bench) gnupg(algorithm string) {
	home, err := os.MkdirTemp("/tmp", "gnupg") // short: its agent's socket has at most 108 bytes
	if err != nil {
		b.Fatal(err)
	}
	b.env = []string{"GNUPGHOME=" + home}
	b.Cleanup(func() {
		cmd := exec.Command("gpgconf", "--kill", "gpg-agent")
		cmd.Env = append(os.Environ(), b.env...)
		_ = cmd.Run()
		_ = os.RemoveAll(home)
	})
	b.run("gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key", "Bench <bench@example.com>", algorithm, "sign", "never")
	b.anchor = anchor.Anchor{Kind: anchor.OpenPGP, Material: string(b.run("gpg", "--armor", "--export"))}
	b.write("ring.gpg", b.run("gpg", "--export"))
}

func (b *bench) openpgp(algorithm, peer string) {
	b.gnupg(algorithm)
	b.run("gpg", "--batch", "--quiet", "--armor", "--detach-sign", "file")
	b.signed("file", pgpSignature, b.read("file.asc"))
	b.peer = []string{"gpg", "--batch", "--trust-model", "always", "--verify", "file.asc", "file"}
	if peer == "gpgv" {
		b.peer = []string{"gpgv", "--keyring", b.path("ring.gpg"), "file.asc", "file"}
	}
}

func (b *bench) clearsigned() {
	b.gnupg("rsa4096")
	b.write("SHA256SUMS", fmt.Appendf(nil, "%x  file\n", digest.Of(b.read("file")).Bytes()))
	b.run("gpg", "--batch", "--quiet", "--clearsign", "SHA256SUMS")
	b.signed("file", pgpClearsigned, b.read("SHA256SUMS.asc"))
	b.release.Signatures[0].Subject = digest.Digest{}
	b.peer = []string{"gpg", "--batch", "--trust-model", "always", "--output", "/dev/null", "--verify", "SHA256SUMS.asc"}
}

func (b *bench) ssh(algorithm string, more ...string) {
	b.run("ssh-keygen", append([]string{"-q", "-N", "", "-f", "key", "-t", algorithm}, more...)...)
	b.run("ssh-keygen", "-Y", "sign", "-n", "file", "-f", "key", "file")
	signers := append([]byte("bench@example.com namespaces=\"file\" "), b.read("key.pub")...)
	b.write("signers", signers)
	b.anchor = anchor.Anchor{Kind: anchor.SSH, Material: string(signers)}
	b.signed("file", "application/vnd.countersign.sshsig", b.read("file.sig"))
	b.peer, b.stdin = []string{"ssh-keygen", "-Y", "verify", "-f", "signers", "-I", "bench@example.com", "-n", "file", "-s", "file.sig"}, "file"
}

func (b *bench) key() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		b.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	b.write("key.pub", public)
	b.anchor = anchor.Anchor{Kind: anchor.PublicKey, Material: string(public)}
	return key
}

func (b *bench) bundle() {
	b.run("cosign", "version")
	content, err := sigstorebundle.Sign(b.key(), b.read("file"))
	if err != nil {
		b.Fatal(err)
	}
	b.write("bundle.json", content)
	b.signed("file", sigstorebundle.MediaType, content)
	b.peer = []string{"cosign", "verify-blob", "--key", "key.pub", "--bundle", "bundle.json", "--insecure-ignore-tlog", "file"}
}

func (b *bench) raw() {
	b.run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "key")
	public := b.run("openssl", "ec", "-in", "key", "-pubout")
	b.write("key.pub", public)
	b.anchor = anchor.Anchor{Kind: anchor.PublicKey, Material: string(public)}
	b.run("openssl", "dgst", "-sha256", "-sign", "key", "-out", "file.sig", "file")
	b.signed("file", "application/vnd.countersign.raw-signature", b.read("file.sig"))
	b.peer = []string{"openssl", "dgst", "-sha256", "-verify", "key.pub", "-signature", "file.sig", "file"}
}

func (b *bench) minisign() {
	b.run("minisign", "-G", "-W", "-p", "key.pub", "-s", "key")
	b.run("minisign", "-S", "-s", "key", "-m", "file")
	b.anchor = anchor.Anchor{Kind: anchor.Minisign, Material: string(b.read("key.pub"))}
	b.signed("file", "application/vnd.countersign.minisign", b.read("file.minisig"))
	b.peer = []string{"minisign", "-V", "-p", "key.pub", "-m", "file"}
}

func (b *bench) signify() {
	b.run("signify-openbsd", "-G", "-n", "-p", "key.pub", "-s", "key.sec")
	b.run("signify-openbsd", "-S", "-s", "key.sec", "-m", "file")
	b.anchor = anchor.Anchor{Kind: anchor.Minisign, Material: string(b.read("key.pub"))}
	b.signed("file", "application/vnd.countersign.signify", b.read("file.sig"))
	b.peer = []string{"signify-openbsd", "-V", "-p", "key.pub", "-m", "file"}
}

// certificate makes an authority and a certificate for code signing below it, and the anchor of that.
func (b *bench) certificate() {
	b.run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=Bench CA",
		"-addext", "keyUsage=critical,keyCertSign")
	b.run("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-keyout", "leaf.key", "-out", "leaf.csr", "-subj", "/CN=Bench")
	b.write("leaf.cnf", []byte("keyUsage=critical,digitalSignature\nextendedKeyUsage=codeSigning\n"))
	b.run("openssl", "x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "20", "-extfile", "leaf.cnf", "-out", "leaf.pem")
	material, err := anchor.Material(anchor.Certificates{PEM: string(b.read("ca.pem")), Subject: anchor.Name{Exact: "Bench"}})
	if err != nil {
		b.Fatal(err)
	}
	b.anchor = anchor.Anchor{Kind: anchor.X509, Material: material}
}

func (b *bench) cms() {
	b.certificate()
	b.run("openssl", "cms", "-sign", "-binary", "-in", "file", "-signer", "leaf.pem", "-inkey", "leaf.key", "-outform", "DER", "-out", "file.p7s")
	b.signed("file", "application/pkcs7-signature", b.read("file.p7s"))
	b.peer = []string{"openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", "file.p7s", "-content", "file", "-CAfile", "ca.pem", "-purpose", "any", "-out", "/dev/null"}
}

func (b *bench) authenticode() {
	b.certificate()
	root := strings.TrimSpace(string(b.run("go", "env", "GOROOT")))
	b.write("plain.exe", read(b.T, root, "src/debug/pe/testdata/gcc-amd64-mingw-exec"))
	b.run("osslsigncode", "sign", "-certs", "leaf.pem", "-key", "leaf.key", "-h", "sha256", "-in", "plain.exe", "-out", "program.exe")
	b.artifact("program.exe")
	b.peer = []string{"osslsigncode", "verify", "-CAfile", "ca.pem", "-in", "program.exe"}
}

func (b *bench) gitTag() {
	b.gnupg("ed25519")
	b.env = append(b.env, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	git := func(args ...string) []byte {
		return b.run("git", append([]string{"-c", "user.name=Bench", "-c", "user.email=bench@example.com"}, args...)...)
	}
	id := func(name string) string { return strings.TrimSpace(string(git("rev-parse", name))) }
	git("init", "-q")
	git("add", "file")
	git("commit", "-q", "-m", "one")
	git("tag", "-s", "-m", "one", "v1")
	b.run("git", "bundle", "create", "-q", "v1.bundle", "v1")
	source := gitobject.Source{File: b.file(proof.Source, "v1.bundle"), Ref: "v1", TagID: id("v1"), Tag: git("cat-file", "tag", "v1"),
		CommitID: id("v1^{commit}"), Commit: git("cat-file", "commit", "v1^{commit}"), TreeID: id("v1^{tree}")}
	b.release.Files, b.release.Git = []proof.File{source.File}, []gitobject.Source{source}
	b.peer = []string{"git", "verify-tag", "v1"}
}
