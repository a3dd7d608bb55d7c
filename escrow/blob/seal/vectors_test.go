package seal

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/keyring"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

// vectors are those of docs/sealing.md.
type vectors struct {
	RootKey  hexText `json:"root_key"`
	NamesKey hexText `json:"names_key"`
	Objects  []struct {
		Plaintext string  `json:"plaintext"`
		Name      string  `json:"name"`
		Key       hexText `json:"key"`
		Object    hexText `json:"object"`
	} `json:"objects"`
}

type hexText []byte

func (h *hexText) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}

// oneKey is a keyring's records and its key-encryption key, for one key that is known.
type oneKey []byte

func (oneKey) ID() string                                                    { return "known" }
func (oneKey) Wrap(context.Context, []byte, []byte) ([]byte, error)          { panic("unused") }
func (k oneKey) Unwrap(_ context.Context, wrapped, _ []byte) ([]byte, error) { return wrapped, nil }
func (k oneKey) VendorKey(context.Context, resource.Organization) (keyring.Record, error) {
	return keyring.Record{KEK: k.ID(), Wrapped: k}, nil
}
func (oneKey) AddVendorKey(context.Context, resource.Organization, keyring.Record) (keyring.Record, error) {
	panic("unused")
}
func (oneKey) ListVendorKeys(context.Context, string, int) ([]keyring.Held, error) { panic("unused") }
func (oneKey) ReplaceVendorKey(context.Context, resource.Organization, keyring.Record, keyring.Record) error {
	panic("unused")
}

func readVectors(t testing.TB) (v vectors) {
	t.Helper()
	doc, err := os.ReadFile("../../../docs/sealing.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := bytes.Cut(doc, []byte("```json\n"))
	text, _, _ = bytes.Cut(text, []byte("```"))
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Objects) < 2 {
		t.Fatalf("%d vectors", len(v.Objects))
	}
	return v
}

func TestVectors(t *testing.T) {
	v := readVectors(t)
	known := oneKey(v.RootKey)
	key, err := keyring.New(known, known).Key(t.Context(), resource.Organization{ID: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	if got := key.Derive(keyring.ObjectNames, nil, nil); !bytes.Equal(got, v.NamesKey) {
		t.Errorf("the key of names is %x", got)
	}
	for _, o := range v.Objects {
		name := nameOf(key, digest.Of([]byte(o.Plaintext)))
		if name.String() != o.Name {
			t.Errorf("%q has the name %s", o.Plaintext, name)
		}
		h, err := parseHeader(o.Object)
		if err != nil || h.size != int64(len(o.Plaintext)) || int64(len(o.Object)) != sealedSize(h.size) {
			t.Fatalf("%q: header %+v, %v", o.Plaintext, h, err)
		}
		if got := key.Derive(keyring.Blobs, h.salt[:], append(name.sum[:], h.encode()...)); !bytes.Equal(got, o.Key) {
			t.Errorf("%q: the key is %x", o.Plaintext, got)
		}
		c, err := cipherOf(key, name.sum, h)
		if err != nil {
			t.Fatal(err)
		}
		if plain, err := c.open(nil, o.Object[headerBytes:], 0); err != nil || string(plain) != o.Plaintext {
			t.Errorf("%q is read as %q, %v", o.Plaintext, plain, err)
		}
	}
}
