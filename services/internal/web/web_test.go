package web

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

func serve(t *testing.T, healthy error) *httptest.Server {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"checkpoint":             "origin\n1\n",
		"tile/0/000.p/1":         "partial",
		"tile/entries/x001/002":  "full",
		".state/treeState":       "private",
		"tile/0/secret":          "private",
		"tile/entries/000/inner": "folder",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "tile/0/001")); err != nil {
		t.Fatal(err)
	}
	h, done, err := Handler(Config{
		Healthy:     func(context.Context) error { return healthy },
		TrustedRoot: []byte("{}"),
		Statement:   []byte("pem"),
		LogDir:      dir,
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(func() {
		server.Close()
		if err := done(); err != nil {
			t.Error(err)
		}
	})
	return server
}

func TestOnlyTheseFilesAreServed(t *testing.T) {
	server := serve(t, nil)
	for path, want := range map[string]string{
		"/healthz":                               "ok\n",
		"/trusted_root.json":                     "{}",
		"/statement.pub":                         "pem",
		"/checkpoint":                            "origin\n1\n",
		"/tile/0/000.p/1":                        "partial",
		"/tile/entries/x001/002":                 "full",
		"/":                                      "",
		"/tile/":                                 "",
		"/tile/0/":                               "",
		"/tile/0/001":                            "",
		"/tile/0/secret":                         "",
		"/tile/entries/000":                      "",
		"/tile/64/000":                           "",
		"/tile/0/../../.state/treeState":         "",
		"/tile/0/%2e%2e/%2e%2e/.state/treeState": "",
		"/.state/treeState":                      "",
	} {
		status, body := get(t, server.URL+path)
		if want == "" && status != http.StatusNotFound {
			t.Errorf("%s: status %d and %q, want %d", path, status, body, http.StatusNotFound)
		}
		if want != "" && (status != http.StatusOK || body != want) {
			t.Errorf("%s: status %d and %q, want %q", path, status, body, want)
		}
	}
}

func TestNothingIsWritten(t *testing.T) {
	server := serve(t, nil)
	resp, err := http.Post(server.URL+"/checkpoint", "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestHealth(t *testing.T) {
	server := serve(t, errors.New("the disk is full"))
	if status, body := get(t, server.URL+"/healthz"); status != http.StatusServiceUnavailable || body != "not healthy\n" {
		t.Errorf("status %d and %q", status, body)
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body := make([]byte, 1<<10)
	n, _ := resp.Body.Read(body)
	return resp.StatusCode, string(body[:n])
}
