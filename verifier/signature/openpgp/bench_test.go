package openpgp

import (
	"bytes"
	"crypto"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
)

// BenchmarkVerifyDetached verifies the signature of a file of 1 MiB; the key ring is read once.
func BenchmarkVerifyDetached(b *testing.B) {
	content := bytes.Repeat([]byte("0123456789abcde\n"), 1<<16)
	for _, c := range []struct {
		name   string
		config packet.Config
	}{{"RSA-4096", rsa4096}, {"Ed25519", ed25519v4}} {
		b.Run(c.name, func(b *testing.B) {
			c.config.DefaultHash = crypto.SHA512
			e := newKey(b, "bench", c.config)
			v, err := New([]anchor.Anchor{holding("bench", export(b, e))})
			if err != nil {
				b.Fatal(err)
			}
			sig, of := sign(b, e, content, packet.Config{DefaultHash: crypto.SHA512}), file(content)
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				if list, err := v.Prove(b.Context(), sig, of); err != nil || len(list) != 1 || list[0].Problem != "" {
					b.Fatalf("%+v, %v", list, err)
				}
			}
		})
	}
}
