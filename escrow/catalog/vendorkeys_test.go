package catalog

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/keyring"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

func TestVendorKeys(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		keys, ctx := VendorKeys{c}, context.Background()
		_, err := keys.VendorKey(ctx, acme)
		wantKind(t, "no key yet", err, fault.NotFound)
		first := keyring.Record{KEK: "file:1", Wrapped: []byte("\x00one\xff"), Created: now}
		second := keyring.Record{KEK: "file:2", Wrapped: []byte("two"), Created: now.Add(time.Hour)}
		wantEqual(t, "first", get[keyring.Record](t)(keys.AddVendorKey(ctx, acme, first)), first)
		wantEqual(t, "second", get[keyring.Record](t)(keys.AddVendorKey(ctx, acme, second)), first)
		wantEqual(t, "kept", get[keyring.Record](t)(keys.VendorKey(ctx, acme)), first)
		_, err = keys.AddVendorKey(ctx, resource.Organization{ID: "nobody"}, first)
		wantKind(t, "of nobody", err, fault.NotFound)

		_ = get[keyring.Record](t)(keys.AddVendorKey(ctx, umbrella, second))
		name := func(h keyring.Held) string { return h.Holder.ID }
		wantEqual(t, "all", keysOf(t, keys, "", 10, name), []string{"acme", "umbrella"})
		wantEqual(t, "one", keysOf(t, keys, "", 1, name), []string{"acme"})
		wantEqual(t, "after", keysOf(t, keys, acme.String(), 10, name), []string{"umbrella"})
	})
}

func keysOf(t *testing.T, k VendorKeys, after string, limit int, key func(keyring.Held) string) []string {
	t.Helper()
	return keys(get[[]keyring.Held](t)(k.ListVendorKeys(context.Background(), after, limit)), key)
}

func TestVendorKeysAreReplacedOnce(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		keys, ctx := VendorKeys{c}, context.Background()
		former := keyring.Record{KEK: "file:1", Wrapped: []byte("one"), Created: now}
		next := keyring.Record{KEK: "file:1", Wrapped: []byte("two"), Created: now, Rewrapped: now.Add(time.Hour)}
		wantKind(t, "none there", keys.ReplaceVendorKey(ctx, acme, former, next), fault.Aborted)
		_ = get[keyring.Record](t)(keys.AddVendorKey(ctx, acme, former))
		must(t, keys.ReplaceVendorKey(ctx, acme, former, next))
		wantEqual(t, "replaced", get[keyring.Record](t)(keys.VendorKey(ctx, acme)), next)
		wantKind(t, "again", keys.ReplaceVendorKey(ctx, acme, former, next), fault.Aborted)
		other := former
		other.KEK, other.Wrapped = "vault:1", next.Wrapped
		wantKind(t, "of another key", keys.ReplaceVendorKey(ctx, acme, other, former), fault.Aborted)
	})
}

// The whole way: keys made, kept, found by another process, and rewrapped.
func TestKeyringInTheCatalog(t *testing.T) {
	each(t, func(t *testing.T, c *Catalog) {
		ctx, kek := context.Background(), reversed{}
		derive := func(k *keyring.Keyring) []byte {
			return get[*keyring.Key](t)(k.Key(ctx, acme)).Derive(keyring.Blobs, nil, nil)
		}
		first := derive(keyring.New(VendorKeys{c}, kek))
		if !bytes.Equal(first, derive(keyring.New(VendorKeys{c}, kek))) {
			t.Error("another process has another key")
		}
		if n := get[int](t)(keyring.New(VendorKeys{c}, kek).Rewrap(ctx, nil)); n != 1 {
			t.Errorf("%d were rewrapped", n)
		}
		if !bytes.Equal(first, derive(keyring.New(VendorKeys{c}, kek))) {
			t.Error("rewrapping has changed the key")
		}
	})
}

// reversed stands for a key-encryption key: what wraps is not the catalog's concern.
type reversed struct{}

func (reversed) ID() string { return "test:reversed" }

func (reversed) Wrap(_ context.Context, key, about []byte) ([]byte, error) {
	out := bytes.Clone(about)
	for _, b := range key {
		out = append(out, ^b)
	}
	return out, nil
}

func (reversed) Unwrap(_ context.Context, wrapped, about []byte) ([]byte, error) {
	var out []byte
	for _, b := range bytes.TrimPrefix(wrapped, about) {
		out = append(out, ^b)
	}
	return out, nil
}
