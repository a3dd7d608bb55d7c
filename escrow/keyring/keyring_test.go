package keyring_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/blob/seal/sealtest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/keyring"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

var (
	acme     = resource.Organization{ID: "acme"}
	umbrella = resource.Organization{ID: "umbrella"}

	first  = sealtest.KEK{Name: "first"}
	second = sealtest.KEK{Name: "second"}
)

// derived returns something that only the vendor's key yields.
func derived(t *testing.T, k *keyring.Keyring, holder resource.Organization) string {
	t.Helper()
	key, err := k.Key(t.Context(), holder)
	if err != nil {
		t.Fatal(err)
	}
	return string(key.Derive(keyring.Blobs, nil, nil))
}

func TestKeysAreMadeOnceAndApart(t *testing.T) {
	var records sealtest.Records
	k := keyring.New(&records, first)
	if _, err := k.Existing(t.Context(), acme); !fault.Is(err, fault.NotFound) {
		t.Errorf("a key that was not made: %v", err)
	}
	a, u := derived(t, k, acme), derived(t, k, umbrella)
	if a == u {
		t.Error("two vendors have one key")
	}
	if a != derived(t, k, acme) || a != derived(t, keyring.New(&records, first), acme) {
		t.Error("a vendor's key changes")
	}
	if _, err := k.Existing(t.Context(), acme); err != nil {
		t.Error(err)
	}
}

func TestDerive(t *testing.T) {
	k := keyring.New(&sealtest.Records{}, first)
	key, err := k.Key(t.Context(), acme)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for _, p := range []keyring.Purpose{keyring.ObjectNames, keyring.Blobs, keyring.Notes} {
		for _, salt := range []string{"", "a", "b"} {
			for _, about := range []string{"", "a", "b"} {
				got, what := string(key.Derive(p, []byte(salt), []byte(about))), fmt.Sprintf("%s %q %q", p, salt, about)
				if len(got) != 32 || seen[got] != "" {
					t.Errorf("%s yields %d bytes, the same as %s", what, len(got), seen[got])
				}
				seen[got] = what
			}
		}
	}
}

func TestManyAtOnceGetOneKey(t *testing.T) {
	var records sealtest.Records
	keys := make([]string, 16)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() { keys[i] = derived(t, keyring.New(&records, first), acme) })
	}
	wg.Wait()
	for _, k := range keys {
		if k != keys[0] {
			t.Fatal("one vendor has two keys")
		}
	}
}

func TestWrongKEK(t *testing.T) {
	var records sealtest.Records
	derived(t, keyring.New(&records, first), acme)
	for name, c := range map[string]struct {
		ring *keyring.Keyring
		ok   bool
	}{
		"the same":   {keyring.New(&records, first), true},
		"another":    {keyring.New(&records, second), false},
		"the former": {keyring.New(&records, second, first), true},
	} {
		_, err := c.ring.Key(t.Context(), acme)
		for what, err := range map[string]error{"Key": err, "Check": c.ring.Check(t.Context())} {
			var f *fault.Error
			if c.ok != (err == nil) || !c.ok && (!errors.As(err, &f) || f.Reason != "WRONG_KEY" || f.Kind != fault.Precondition) {
				t.Errorf("%s: %s: %v", name, what, err)
			}
		}
	}
}

// A record moved to another holder must not unwrap.
func TestARecordBelongsToItsHolder(t *testing.T) {
	var records sealtest.Records
	k := keyring.New(&records, first)
	derived(t, k, acme)
	r, err := records.VendorKey(t.Context(), acme)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := records.AddVendorKey(t.Context(), umbrella, r); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Key(t.Context(), umbrella); !fault.Is(err, fault.Corrupt) {
		t.Errorf("another holder's record: %v", err)
	}
	r.Wrapped = r.Wrapped[:len(r.Wrapped)-1]
	if _, err := records.AddVendorKey(t.Context(), resource.Organization{ID: "short"}, r); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Key(t.Context(), resource.Organization{ID: "short"}); !fault.Is(err, fault.Corrupt) {
		t.Errorf("a record cut off: %v", err)
	}
}

func TestRewrap(t *testing.T) {
	var records sealtest.Records
	old := keyring.New(&records, first)
	const vendors = 250 // more than two pages
	before := make(map[resource.Organization]string)
	for i := range vendors {
		o := resource.Organization{ID: fmt.Sprintf("vendor-%03d", i)}
		before[o] = derived(t, old, o)
	}
	seen := map[resource.Organization]bool{}
	n, err := keyring.New(&records, second, first).Rewrap(t.Context(), func(o resource.Organization) { seen[o] = true })
	if err != nil || n != vendors || len(seen) != vendors {
		t.Fatalf("%d rewrapped, %d told: %v", n, len(seen), err)
	}
	after := keyring.New(&records, second)
	if err := after.Check(t.Context()); err != nil {
		t.Error(err)
	}
	for o, want := range before {
		if derived(t, after, o) != want {
			t.Fatalf("the key of %s has changed", o)
		}
		r, err := records.VendorKey(t.Context(), o)
		if err != nil || r.Rewrapped.IsZero() || r.Created.IsZero() || r.KEK != second.ID() {
			t.Fatalf("record %+v, %v", r, err)
		}
	}
	if err := keyring.New(&records, first).Check(t.Context()); err == nil {
		t.Error("the former key is still good")
	}
}

// lossy is a key-encryption key that does not give back what it wrapped.
type lossy struct{ sealtest.KEK }

func (l lossy) Wrap(ctx context.Context, key, about []byte) ([]byte, error) {
	return l.KEK.Wrap(ctx, bytes.Repeat([]byte{1}, len(key)), about)
}

func TestRewrapNeverLosesAKey(t *testing.T) {
	var records sealtest.Records
	want := derived(t, keyring.New(&records, first), acme)
	if _, err := keyring.New(&records, lossy{second}, first).Rewrap(t.Context(), nil); err == nil {
		t.Error("a key was replaced by what cannot be unwrapped")
	}
	if derived(t, keyring.New(&records, first), acme) != want {
		t.Error("the key is lost")
	}
}
