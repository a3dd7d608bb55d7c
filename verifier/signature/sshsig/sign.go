package sshsig

import (
	"fmt"
	"io"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// Sign signs what r gives in the namespace file, as ssh-keygen -Y sign -n file does: over SHA-512, armoured.
func Sign(signer ssh.Signer, r io.Reader) ([]byte, error) {
	if signer == nil {
		return nil, fault.Invalidf("signing key", "is missing")
	}
	if s, ok := signer.(ssh.AlgorithmSigner); ok && isRSA(signer.PublicKey()) {
		signer = sha512Signer{s}
	}
	made, err := sshsig.Sign(r, signer, sshsig.HashSHA512, NamespaceFile)
	if err != nil {
		return nil, fmt.Errorf("make an SSH signature: %w", err)
	}
	// What the rest of the world refuses is not handed out.
	if _, err := newSignature(made); err != nil {
		return nil, fault.Invalidf("signing key", "%v", err).WithAdvice("sign with another key: ssh-keygen -t ed25519 makes one")
	}
	return sshsig.Armor(made), nil
}

func isRSA(key ssh.PublicKey) bool {
	return key.Type() == ssh.KeyAlgoRSA || key.Type() == ssh.CertAlgoRSAv01
}

// sha512Signer signs with rsa-sha2-512, which the format demands and a signer does not do by itself.
type sha512Signer struct{ ssh.AlgorithmSigner }

// Sign makes a signature of the one algorithm.
func (s sha512Signer) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return s.SignWithAlgorithm(rand, data, ssh.KeyAlgoRSASHA512)
}
