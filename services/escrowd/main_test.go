package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.yaml.in/yaml/v3"

	"github.com/countersign-escrow/countersign/services/internal/state"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"escrowd": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:  "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"healthy": healthy},
	})
}

// healthy PROFILE waits until the service that the profile tells of answers that it is healthy.
func healthy(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: healthy PROFILE")
	}
	path := ts.MkAbs(args[0])
	var last error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if last = askHealth(path); last == nil {
			return
		}
	}
	ts.Fatalf("not healthy: %v", last)
}

func askHealth(path string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var p state.Profile
	if err := yaml.Unmarshal(raw, &p); err != nil {
		return err
	}
	ca, err := os.ReadFile(filepath.Join(filepath.Dir(path), p.CA))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	client := &http.Client{
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true},
		Timeout:   5 * time.Second,
	}
	resp, err := client.Get(p.Web + "/healthz")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s/healthz: %s", p.Web, resp.Status)
	}
	return nil
}
