package state

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

func open(t *testing.T, dir string) *State {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // a test may have closed it
	return s
}

func TestFirstStartIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := open(t, dir)
	if err := s.Operator().WriteMember([]byte("key"), []byte("certificate")); err != nil {
		t.Fatal(err)
	}
	if err := s.Operator().WriteProfile("127.0.0.1:1", "https://127.0.0.1:2", "organizations/operator", s.CA.CertificatePEM()); err != nil {
		t.Fatal(err)
	}
	files := map[string]bool{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		name, err := filepath.Rel(dir, path)
		files[name] = true
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"objects", "log", "work", "cache", "keys/ca.pem", "keys/ca.key", "keys/statement.pem", "keys/log.pem", "keys/tsa.pem",
		"keys/tsa-chain.pem", "keys/kek.json", "operator/profile.yaml", "operator/ca.pem", "operator/certificate.pem",
		"operator/key.pem",
	} {
		if !files[want] {
			t.Errorf("%s is not there", want)
		}
	}
}

func TestKeysStay(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := open(t, dir)
	if !first.Statement.Equal(second.Statement) || !first.Log.Equal(second.Log) || !first.Timestamp.Equal(second.Timestamp) ||
		first.KEK.ID() != second.KEK.ID() || !first.TSAChain[0].Equal(second.TSAChain[0]) ||
		string(first.CA.CertificatePEM()) != string(second.CA.CertificatePEM()) {
		t.Error("a key changed from one start to the next")
	}
}

func TestOneServerAtATime(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	_, err := Open(dir)
	if err == nil || !strings.Contains(err.Error(), "another escrowd") {
		t.Errorf("error %v", err)
	}
}

func TestKeysThatOthersMayUseAreRefused(t *testing.T) {
	for path, mode := range map[string]fs.FileMode{"keys/ca.key": 0o640, "keys": 0o755, ".": 0o755} {
		t.Run(path, func(t *testing.T) {
			dir := t.TempDir()
			if err := open(t, dir).Close(); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(filepath.Join(dir, path), mode); err != nil {
				t.Fatal(err)
			}
			_, err := Open(dir)
			if err == nil || !strings.Contains(err.Error(), "chmod") || !strings.Contains(err.Error(), filepath.Join(dir, path)) {
				t.Errorf("error %v does not say what to do", err)
			}
		})
	}
}

func TestALinkedKeyIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := open(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(dir, "keys/ca.key")
	if err := os.Rename(key, filepath.Join(dir, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../elsewhere", key); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil {
		t.Error("opened")
	}
}

// A first start that breaks off has made some of the files, whole, and perhaps left a half-written one.
func TestAFirstStartThatBrokeOffIsCarriedOn(t *testing.T) {
	whole := open(t, t.TempDir())
	names := []string{caCertFile, caKeyFile, statementFile, logFile, tsaChainFile, tsaKeyFile, kekFile}
	for n := range names {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "keys"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range names[:n] {
			raw, err := os.ReadFile(whole.keys().path(name))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "keys", name), raw, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		half := filepath.Join(dir, "keys", ".new-1")
		if err := os.WriteFile(half, []byte("-----BEGIN"), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(dir)
		if err != nil {
			t.Errorf("after %d files: %v", n, err)
			continue
		}
		if n > 2 && !s.Statement.Equal(whole.Statement) {
			t.Errorf("after %d files: a key that was whole was made anew", n)
		}
		if _, err := os.Stat(half); err == nil {
			t.Errorf("after %d files: the half-written file is still there", n)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestALostKeyIsNotMadeAnew(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if err := os.WriteFile(s.Catalog(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "keys", statementFile)); err != nil {
		t.Fatal(err)
	}
	_, err := Open(dir)
	if err == nil || !strings.Contains(err.Error(), "backup") || !strings.Contains(err.Error(), statementFile) {
		t.Errorf("error %v", err)
	}
}

func TestADamagedKeyIsNamed(t *testing.T) {
	for _, name := range []string{caKeyFile, caCertFile, statementFile, logFile, tsaKeyFile, tsaChainFile, kekFile} {
		dir := t.TempDir()
		if err := open(t, dir).Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "keys", name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "/keys/") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestProfile(t *testing.T) {
	s := open(t, t.TempDir())
	if err := s.Operator().WriteProfile("127.0.0.1:1", "https://127.0.0.1:2", "organizations/operator", s.CA.CertificatePEM()); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(s.Operator().Path())
	if err != nil {
		t.Fatal(err)
	}
	var got Profile
	if err := yaml.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	want := Profile{"127.0.0.1:1", "https://127.0.0.1:2", "ca.pem", "certificate.pem", "key.pem", "organizations/operator"}
	if got != want {
		t.Errorf("profile %+v", got)
	}
}

func TestKeysForManyProcesses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "shared", "keys")
	if err := CreateKeys(dir, time.Now()); err != nil {
		t.Fatal(err)
	}
	first, err := ReadKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := CreateKeys(dir, time.Now()); !fault.Is(err, fault.Exists) {
		t.Errorf("keys over keys: %v", err)
	}
	second, err := ReadKeys(dir)
	if err != nil || !first.Log.Equal(second.Log) || !first.Statement.Equal(second.Statement) {
		t.Errorf("the keys changed: %v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if err := os.Chmod(filepath.Join(dir, "log.pem"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadKeys(dir); err == nil || !strings.Contains(err.Error(), "chmod 0600") {
		t.Errorf("keys that others may read: %v", err)
	}
	if _, err := ReadKeys(filepath.Join(dir, "nothing")); err == nil {
		t.Error("no keys are keys")
	}
}

// A worker, which is root, shares the keys of the user that other processes run as, and nobody else's.
func TestRootSharesTheKeysOfALesserUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	dir := filepath.Join(t.TempDir(), "keys")
	if err := CreateKeys(dir, time.Now()); err != nil {
		t.Fatal(err)
	}
	give := func(path string, user int) {
		t.Helper()
		if err := os.Chown(path, user, user); err != nil {
			t.Fatal(err)
		}
	}
	const lesser, other = 12345, 12346
	give(dir, lesser)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		give(filepath.Join(dir, e.Name()), lesser)
	}
	if _, err := ReadKeys(dir); err != nil {
		t.Error(err)
	}
	give(filepath.Join(dir, "log.pem"), other)
	if _, err := ReadKeys(dir); err == nil || !strings.Contains(err.Error(), "belongs to user 12346") {
		t.Errorf("a third user's key: %v", err)
	}
	if err := CheckOwner(filepath.Join(dir, "log.pem")); err == nil {
		t.Error("another user's file is changed")
	}
	give(dir, 0)
	if err := CheckOwner(dir); err != nil {
		t.Error(err)
	}
}
