package keyring

import (
	"crypto/hkdf"
	"crypto/sha256"
)

// Purpose says what a derived key is for. Keys of different purposes tell nothing of one another.
type Purpose string

// The purposes.
const (
	ObjectNames Purpose = "countersign/v1/object-names" // HMAC-SHA-256 of a digest is an object's name
	Blobs       Purpose = "countersign/v1/blob"         // seals the chunks of one object
	Notes       Purpose = "countersign/v1/note"         // seals what an unfinished upload leaves behind
)

// Key is the key of one vendor. It never leaves this package: what is derived from it does.
type Key struct{ root []byte }

func newKey(root []byte) *Key { return &Key{root: root} }

// Derive returns a key of 32 bytes for one purpose, by HKDF-SHA-256. What else is to be bound to it is in the salt and in
// about; their parts must have fixed lengths or be told apart otherwise.
func (k *Key) Derive(p Purpose, salt, about []byte) []byte {
	key, err := hkdf.Key(sha256.New, k.root, salt, string(p)+"\x00"+string(about), sha256.Size)
	if err != nil {
		panic("keyring: " + err.Error()) // only for a length that SHA-256 cannot have, or a key that FIPS mode finds too short
	}
	return key
}
