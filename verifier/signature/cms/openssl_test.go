package cms_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/verifier/signature/cms/cmstest"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
	"github.com/countersign-escrow/countersign/verifier/stocktest"
)

func run(t *testing.T, args ...string) error {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput()
	t.Logf("%s: %.300s", strings.Join(args[:2], " "), out)
	return err
}

// openssl signs the content with stock openssl and returns the signature file and its path.
func openssl(t *testing.T, file string, signer *cmstest.Holder, options ...string) ([]byte, string) {
	t.Helper()
	cert, key, above := signer.Files(t)
	out := filepath.Join(t.TempDir(), "signature")
	args := append([]string{"openssl", "cms", "-sign", "-binary", "-in", file, "-signer", cert, "-inkey", key, "-certfile", above, "-out", out}, options...)
	if err := run(t, args...); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b, out
}

func TestOpenSSL(t *testing.T) {
	stocktest.Need(t, "openssl")
	root := cmstest.Root(t, "CA", cmstest.RSA(t, 2048))
	rsa, ec := root.Issue(t, "signer", cmstest.RSA(t, 2048), cmstest.Mail), root.Issue(t, "signer", cmstest.EC(t), cmstest.Mail)
	for name, c := range map[string]struct {
		signer   *cmstest.Holder
		options  string
		weak     proof.Weakness
		attached bool
		refused  string
	}{
		"DER":              {signer: rsa, options: "-outform DER"},
		"PEM":              {signer: ec, options: "-outform PEM"},
		"SHA-512":          {signer: ec, options: "-outform DER -md sha512"},
		"SHA-384 RSA":      {signer: rsa, options: "-outform DER -md sha384"},
		"SHA-1":            {signer: rsa, options: "-outform DER -md sha1", weak: proof.SHA1},
		"MD5":              {signer: rsa, options: "-outform DER -md md5", weak: proof.MD5},
		"PSS":              {signer: rsa, options: "-outform DER -keyopt rsa_padding_mode:pss"},
		"PSS SHA-384":      {signer: rsa, options: "-outform DER -md sha384 -keyopt rsa_padding_mode:pss -keyopt rsa_pss_saltlen:20"},
		"by key id":        {signer: ec, options: "-outform DER -keyid"},
		"no attributes":    {signer: rsa, options: "-outform DER -noattr"},
		"ECDSA, none":      {signer: ec, options: "-outform PEM -noattr"},
		"attached":         {signer: rsa, options: "-outform DER -nodetach", attached: true},
		"no certificates":  {signer: rsa, options: "-outform DER -nocerts", refused: "neither in the signature"},
		"streamed, in BER": {signer: rsa, options: "-outform DER -nodetach -stream", attached: true, refused: "indefinite length"},
	} {
		t.Run(name, func(t *testing.T) {
			file := write(t, content)
			b, path := openssl(t, file, c.signer, strings.Fields(c.options)...)
			p := prove(t, b, cmstest.Anchor(t, "a", "signer", root))
			if c.refused != "" {
				if len(p.Anchors) > 0 || !strings.Contains(p.Problem, c.refused) {
					t.Errorf("%+v", p)
				}
				return
			}
			if p.Problem != "" || len(p.Anchors) != 1 || (p.Signed != nil) != c.attached || (c.weak != "") != (len(p.Weak) == 1 && p.Weak[0] == c.weak) {
				t.Errorf("%+v", p)
			}
			agree(t, path, file, c.options, root, c.attached)
		})
	}
}

// agree has openssl verify, too, and both refuse another file.
func agree(t *testing.T, path, file, options string, root *cmstest.Holder, attached bool) {
	t.Helper()
	ca, _, _ := root.Files(t)
	form := "DER"
	if strings.Contains(options, "PEM") {
		form = "PEM"
	}
	args := []string{"openssl", "cms", "-verify", "-binary", "-inform", form, "-in", path, "-CAfile", ca, "-out", os.DevNull}
	if !attached {
		args = append(args, "-content", file)
	}
	if err := run(t, args...); err != nil {
		t.Errorf("openssl: %v", err)
	}
	if attached {
		return
	}
	args[len(args)-1] = write(t, append([]byte("x"), content...))
	if err := run(t, args...); err == nil {
		t.Error("openssl takes another file")
	}
}

func write(t *testing.T, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
