package localkey

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/verifier/signature/sshsig"
)

const (
	opensshPEM = "OPENSSH PRIVATE KEY"
	// agentVariable is where the socket of an SSH agent is told.
	agentVariable = "SSH_AUTH_SOCK"
)

// localSSH is an SSH key at hand.
type localSSH struct{ key ssh.Signer }

// Sign makes an SSH signature, as ssh-keygen -Y sign does.
func (k localSSH) Sign(_ context.Context, content []byte) (File, error) {
	sig, err := sshsig.Sign(k.key, bytes.NewReader(content))
	return File{Content: sig, MediaType: sshsig.MediaType}, err
}

func sshKey(path string, b []byte, ask Ask) (Key, error) {
	key, err := ssh.ParsePrivateKey(b)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		passphrase, asked := ask("Passphrase of " + path)
		if asked != nil {
			return nil, fault.Invalidf(path, "%v", asked).WithAdvice("or load it into an SSH agent with ssh-add, and give %s.pub", path)
		}
		key, err = ssh.ParsePrivateKeyWithPassphrase(b, passphrase)
	}
	if err != nil {
		return nil, fault.Invalidf(path, "%v", err).WithAdvice("a key on a security token is used through an SSH agent: give %s.pub", path)
	}
	return localSSH{key}, nil
}

// agentKey is an SSH key that an agent has.
type agentKey struct {
	path   string
	public ssh.PublicKey
}

// Sign has the agent make an SSH signature.
func (k agentKey) Sign(ctx context.Context, content []byte) (File, error) {
	socket := os.Getenv(agentVariable)
	if socket == "" {
		return File{}, k.failed(errors.New("no agent is told of: "+agentVariable+" is not set"), "start one, load the key with ssh-add, or give the private key")
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return File{}, k.failed(err, "start one, and load the key with ssh-add")
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	keys, err := agent.NewClient(conn).Signers()
	if err != nil {
		return File{}, k.failed(err, "see what it has with: ssh-add -l")
	}
	for _, key := range keys {
		if bytes.Equal(key.PublicKey().Marshal(), k.public.Marshal()) {
			return localSSH{key}.Sign(ctx, content)
		}
	}
	return File{}, k.failed(errors.New("it does not have "+ssh.FingerprintSHA256(k.public)), "load the key with ssh-add")
}

func (k agentKey) failed(err error, advice string) error {
	return fault.Preconditionf("SSH_AGENT", "", "%s is a public key, and the SSH agent cannot sign with it: %v", k.path, err).WithAdvice("%s", advice)
}
