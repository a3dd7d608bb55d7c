package transit

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestRealServer does with a real server what TestWrapAndUnwrap does with the fake: with the one that $COUNTERSIGN_VAULT names, or
// with vault or bao from PATH.
func TestRealServer(t *testing.T) {
	address, root := startReal(t)
	vault := func(method, path string, body any) {
		raw, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), method, address+"/v1/"+path, bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Vault-Token", root)
		res, err := http.DefaultClient.Do(req)
		if err != nil || res.StatusCode >= 300 {
			t.Fatalf("%s %s: %v %+v", method, path, err, res)
		}
		res.Body.Close()
	}
	vault(http.MethodPost, "sys/mounts/transit", map[string]string{"type": "transit"})
	vault(http.MethodPost, "transit/keys/escrow", map[string]string{"type": keyType})
	cfg := Config{Address: address, Key: "escrow", TokenFile: filepath.Join(t.TempDir(), "token"), PlainHTTPUnsafe: true}
	writeFile(t, cfg.TokenFile, root)
	k := mustOpen(t, cfg)
	wrapAndUnwrap(t, k)
	vault(http.MethodPost, "transit/keys/escrow/rotate", nil)
	wrapAndUnwrap(t, k)
}

func startReal(t *testing.T) (address, root string) {
	t.Helper()
	program := os.Getenv("COUNTERSIGN_VAULT")
	for _, name := range []string{"vault", "bao"} {
		if p, err := exec.LookPath(name); program == "" && err == nil {
			program = p
		}
	}
	if program == "" {
		t.Skip("there is no Vault or OpenBao server here: name one in $COUNTERSIGN_VAULT")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listen := l.Addr().String()
	l.Close()
	root = rand.Text()
	cmd := exec.Command(program, "server", "-dev", "-dev-no-store-token", "-dev-root-token-id="+root, "-dev-listen-address="+listen)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	address = "http://" + listen
	if err := awaitReal(t.Context(), address); err != nil {
		t.Fatal(err)
	}
	return address, root
}

func awaitReal(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		if res, err := http.Get(address + "/v1/sys/health"); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("the server is not ready: %w", ctx.Err())
}
