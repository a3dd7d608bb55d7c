package localkey

import (
	"crypto"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// startAgent runs an agent that has a key.
func startAgent(t *testing.T, key crypto.Signer) string {
	t.Helper()
	keys := agent.NewKeyring()
	check(t, keys.Add(agent.AddedKey{PrivateKey: key}))
	socket := filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", socket)
	check(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_ = agent.ServeAgent(keys, conn)
			}()
		}
	}()
	return socket
}

// byAgent has an agent sign, which is told the public key alone.
func byAgent(t *testing.T, key crypto.Signer, public ssh.PublicKey) File {
	t.Helper()
	path := write(t, "id.pub", ssh.MarshalAuthorizedKey(public))
	t.Setenv(agentVariable, "")
	if s, err := Open(path, noAsk); err != nil {
		t.Error(err)
	} else if _, err := s.Sign(t.Context(), content); err == nil || !strings.Contains(err.Error(), "SSH_AUTH_SOCK is not set") {
		t.Errorf("no agent: %v", err)
	}
	t.Setenv(agentVariable, startAgent(t, key))
	return sign(t, path, noAsk)
}
