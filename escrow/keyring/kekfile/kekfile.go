// Package kekfile is a key-encryption key in a file: AES-256-GCM under one or several generations of a key, of which the
// newest wraps and each unwraps what it has wrapped.
// It knows nothing of what the keys that it wraps are for.
package kekfile

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/countersign-escrow/countersign/escrow/durable"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/keyring"
)

const (
	formatVersion  = 1
	keyBytes       = 32
	idBytes        = 16
	fileMode       = 0o600
	maxFileBytes   = 1 << 20
	maxGenerations = 1000
)

// file is what a key file holds, as JSON. Generations are in ascending order.
type file struct {
	Version     int          `json:"version"`
	ID          string       `json:"id"` // the same in every generation
	Generations []generation `json:"generations"`
}

type generation struct {
	Number  uint32    `json:"number"`
	Created time.Time `json:"created"`
	Key     []byte    `json:"key"` // base64
}

// KEK is a keyring.KEK of a file.
type KEK struct {
	id     string
	newest uint32
	aeads  map[uint32]cipher.AEAD // by generation; they choose their nonces at random
}

var _ keyring.KEK = (*KEK)(nil)

// Generate makes a file with one generation, for its owner only. It never replaces one that is there: fault.Exists.
func Generate(path string, now time.Time) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		if err != nil {
			return err
		}
		return fault.AlreadyExists(path)
	}
	raw, err := New(now)
	if err != nil {
		return err
	}
	return durable.WriteFile(path, raw, fileMode)
}

// New makes the content of a file with one generation.
func New(now time.Time) ([]byte, error) {
	id := make([]byte, idBytes)
	if _, err := rand.Read(id); err != nil {
		return nil, err
	}
	f := file{Version: formatVersion, ID: hex.EncodeToString(id)}
	if err := f.add(now); err != nil {
		return nil, err
	}
	return f.encode()
}

// Open reads a file. It refuses one that others than its owner may read.
func Open(path string) (*KEK, error) {
	f, err := read(path)
	if err != nil {
		return nil, err
	}
	return f.kek()
}

// Rotate adds a generation, which wraps from the next Open on. Former ones stay until Retire.
func Rotate(path string, now time.Time) error {
	return change(path, func(f *file) error { return f.add(now) })
}

// Retire removes all generations but the newest. What they wrapped is lost unless it was rewrapped before.
func Retire(path string) error {
	return change(path, func(f *file) error {
		f.Generations = f.Generations[len(f.Generations)-1:]
		return nil
	})
}

func change(path string, how func(*file) error) error {
	f, err := read(path)
	if err != nil {
		return err
	}
	if err := how(f); err != nil {
		return err
	}
	raw, err := f.encode()
	if err != nil {
		return err
	}
	return durable.WriteFile(path, raw, fileMode)
}

func (f *file) add(now time.Time) error {
	next := generation{Number: 1, Created: now.UTC().Truncate(time.Second), Key: make([]byte, keyBytes)}
	if n := len(f.Generations); n > 0 {
		next.Number = f.Generations[n-1].Number + 1
	}
	if len(f.Generations) == maxGenerations {
		return fault.Exhaustedf("generations", "the file has %d generations, which is the most", maxGenerations).
			WithAdvice("rewrap all vendor keys and retire the former generations")
	}
	f.Generations = append(f.Generations, next)
	_, err := rand.Read(next.Key)
	return err
}

func (f *file) encode() ([]byte, error) {
	raw, err := json.MarshalIndent(f, "", "  ")
	return append(raw, '\n'), err
}

func read(path string) (*file, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %04o, so that others may use it: run `chmod %04o %s`", path, info.Mode().Perm(), fileMode, path)
	}
	if info.Size() > maxFileBytes {
		return nil, fmt.Errorf("%s: has %d bytes, which is no file of keys", path, info.Size())
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f, err := parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

func parse(raw []byte) (*file, error) {
	var f file
	if err := json.Unmarshal(raw, &f); err != nil {
		return nil, err
	}
	if f.Version != formatVersion {
		return nil, fmt.Errorf("version is %d, this program knows %d", f.Version, formatVersion)
	}
	if id, err := hex.DecodeString(f.ID); err != nil || len(id) != idBytes {
		return nil, fmt.Errorf("id is not %d bytes in hexadecimal", idBytes)
	}
	if n := len(f.Generations); n == 0 || n > maxGenerations {
		return nil, fmt.Errorf("has %d generations, must have 1 to %d", n, maxGenerations)
	}
	var last uint32
	for _, g := range f.Generations {
		if g.Number <= last || len(g.Key) != keyBytes {
			return nil, fmt.Errorf("generation %d is out of order, or its key has not %d bytes", g.Number, keyBytes)
		}
		last = g.Number
	}
	return &f, nil
}

func (f *file) kek() (*KEK, error) {
	k := &KEK{id: f.ID, aeads: make(map[uint32]cipher.AEAD)}
	for _, g := range f.Generations {
		block, err := aes.NewCipher(g.Key)
		if err != nil {
			return nil, err
		}
		if k.aeads[g.Number], err = cipher.NewGCMWithRandomNonce(block); err != nil {
			return nil, err
		}
		k.newest = g.Number
	}
	return k, nil
}

// ID returns the name of the file's key, which stays the same through its generations.
func (k *KEK) ID() string { return "file:" + k.id }

// A wrapped key is its generation in four bytes, most significant first, and what AES-256-GCM made of it: nonce, text, tag.
const numberBytes = 4

// Wrap encrypts a key under the newest generation.
func (k *KEK) Wrap(ctx context.Context, key, context []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	head := binary.BigEndian.AppendUint32(nil, k.newest)
	return k.aeads[k.newest].Seal(head, nil, key, k.bound(head, context)), nil
}

// Unwrap decrypts what Wrap made.
func (k *KEK) Unwrap(ctx context.Context, wrapped, context []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(wrapped) < numberBytes {
		return nil, fault.Corruptf("", "a wrapped key of %d bytes", len(wrapped))
	}
	head, text := wrapped[:numberBytes], wrapped[numberBytes:]
	number := binary.BigEndian.Uint32(head)
	aead := k.aeads[number]
	if aead == nil {
		return nil, fault.Preconditionf("WRONG_KEY", "", "%s has no generation %d", k.ID(), number).
			WithAdvice("restore the newest copy of the key file; if it is that already, the wrapped key is damaged: restore the catalog")
	}
	key, err := aead.Open(nil, nil, text, k.bound(head, context))
	if err != nil {
		return nil, fault.Corruptf("", "a wrapped key is not what %s wrapped, or not for this holder", k.ID())
	}
	return key, nil
}

// bound is what a wrapped key is bound to. Id and head have fixed lengths.
func (k *KEK) bound(head, context []byte) []byte {
	return append(append([]byte(k.id), head...), context...)
}
