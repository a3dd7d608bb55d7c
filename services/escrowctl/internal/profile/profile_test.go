package profile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

func make1(t *testing.T, dir string) string {
	t.Helper()
	d, err := Begin(dir, []byte("key"))
	if err != nil {
		t.Fatal(err)
	}
	path, err := d.Finish(Certified{Address: "127.0.0.1:1", Organization: resource.Organization{ID: "acme"}, CertificatePEM: "cert", CertificateOfCAs: "ca"})
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestMakeAndLoad(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv(Variable, "")
	dir, err := Dir("lab-fi")
	if err != nil {
		t.Fatal(err)
	}
	path := make1(t, dir)
	for _, name := range []string{"lab-fi", dir, path} {
		p, err := Load(name)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if p.Organization.ID != "acme" || p.Key != filepath.Join(dir, "key.pem") || p.Address != "127.0.0.1:1" {
			t.Errorf("%s: %+v", name, p)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "key.pem")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v", info.Mode(), err)
	}
	if _, err := Begin(dir, nil); !fault.Is(err, fault.Exists) {
		t.Errorf("begun over another: %v", err)
	}
	if all, err := List(); err != nil || len(all) != 1 || all[0].Name != "lab-fi" {
		t.Errorf("listed %v, %v", all, err)
	}
	t.Setenv(Variable, "lab-fi")
	if p, err := Load(""); err != nil || p.Path != path {
		t.Errorf("by environment: %v, %v", p, err)
	}
}

func TestLoadRefuses(t *testing.T) {
	dir := t.TempDir()
	for content, want := range map[string]string{
		"address: a\nca: b\ncertificate: c\nkey: d\norganization: acme\n":       "organization: resource name",
		"address: a\nca: b\ncertificate: c\norganization: organizations/acme\n": "key is missing",
		"address: a\nport: 1\n":   "line 2: field port not found",
		"address: [a":             "did not find",
		strings.Repeat("x", 1000): "cannot unmarshal",
	} {
		path := filepath.Join(dir, FileName)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%.40q: %v, want %q", content, err, want)
		}
	}
	if _, err := Load(filepath.Join(dir, "none")); !fault.Is(err, fault.NotFound) || !strings.Contains(err.Error(), "escrowctl enrol") {
		t.Errorf("no profile: %v", err)
	}
	if _, err := Load("a b"); !fault.Is(err, fault.Invalid) {
		t.Errorf("no name: %v", err)
	}
}
