package materials

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/blob"
	"github.com/countersign-escrow/countersign/escrow/blob/seal/sealtest"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/intake"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/verifier/rebuild"
	"github.com/countersign-escrow/countersign/verifier/rebuild/rebuildtest"
)

var _ rebuild.Materials = Held{}

var acme = resource.Organization{ID: "acme"}

func store(t *testing.T) blob.Store {
	t.Helper()
	return sealtest.Open(t)
}

func put(t *testing.T, s blob.Store, content []byte) digest.Digest {
	t.Helper()
	d := digest.Of(content)
	if err := blob.Put(t.Context(), s, blob.Ref{Holder: acme, Digest: d}, int64(len(content)), bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestOpenImage(t *testing.T) {
	blobs := rebuildtest.Blobs{}
	layer := rebuildtest.Plain(rebuildtest.Layer(t, rebuildtest.File("bin/cc", 0o755, []byte("x"))))
	image := rebuildtest.Image(t, blobs, "linux", "arm64", nil, layer, layer)
	s := store(t)
	ctx := t.Context()
	if _, err := OpenImage(ctx, s, acme, image); !fault.Is(err, fault.NotFound) {
		t.Errorf("nothing is held: %v", err)
	}
	layerDigest := digest.Of(layer.Held)
	for d, content := range blobs {
		if d != layerDigest {
			put(t, s, content)
		}
	}
	img, err := OpenImage(ctx, s, acme, image)
	if err != nil {
		t.Fatal(err)
	}
	if img.Platform != "linux/arm64" || len(img.Blobs) != 3 || img.Blobs[0].Digest != image {
		t.Errorf("image: %+v", img)
	}
	missing, err := img.Missing(ctx, s, acme)
	if err != nil || len(missing) != 1 || missing[0].Digest != layerDigest {
		t.Errorf("missing: %v, %v", missing, err)
	}
	put(t, s, layer.Held)
	if missing, err = img.Missing(ctx, s, acme); err != nil || len(missing) != 0 {
		t.Errorf("missing: %v, %v", missing, err)
	}
	if _, err := OpenImage(ctx, s, resource.Organization{ID: "rival"}, image); !fault.Is(err, fault.NotFound) {
		t.Errorf("another vendor's: %v", err)
	}
}

func TestImagesThatCannotBeUsed(t *testing.T) {
	s := store(t)
	config := put(t, s, []byte(`{"os":"linux","architecture":"amd64"}`))
	strange := put(t, s, []byte(`{"os":"linux","architecture":"../amd64"}`))
	whole := func(config, layers string) string {
		return fmt.Sprintf(`{"schemaVersion":2,"config":{"digest":%q,"size":1},"layers":[%s]}`, config, layers)
	}
	for what, c := range map[string]struct {
		manifest string
		kind     fault.Kind
	}{
		"no JSON":             {"\x7fELF", fault.Invalid},
		"an index":            {`{"schemaVersion":2,"manifests":[]}`, fault.Invalid},
		"another schema":      {`{"schemaVersion":1}`, fault.Invalid},
		"no configuration":    {`{"schemaVersion":2}`, fault.Invalid},
		"not held":            {whole(digest.Of([]byte("x")).String(), ""), fault.NotFound},
		"a strange platform":  {whole(strange.String(), ""), fault.Invalid},
		"a malformed layer":   {whole(config.String(), `{"digest":"md5:1"}`), fault.Invalid},
		"a negative size":     {whole(config.String(), fmt.Sprintf(`{"digest":%q,"size":-1}`, strange)), fault.Invalid},
		"two sizes":           {whole(config.String(), fmt.Sprintf(`{"digest":%q,"size":2}`, config)), fault.Invalid},
		"too many layers":     {whole(config.String(), strings.Repeat(`{},`, maxLayers)+`{}`), fault.Exhausted},
		"too long a manifest": {strings.Repeat(" ", maxManifestBytes+1), fault.Exhausted},
	} {
		if _, err := OpenImage(t.Context(), s, acme, put(t, s, []byte(c.manifest))); fault.KindOf(err) != c.kind || err == nil {
			t.Errorf("%s: %v, want kind %d", what, err, c.kind)
		}
	}
}

func FuzzImage(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"config":{"digest":"sha256:`+strings.Repeat("ab", 32)+`","size":1},"layers":[]}`), []byte(`{"os":"linux","architecture":"amd64"}`))
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{}]}`), []byte(`{}`))
	f.Fuzz(func(t *testing.T, manifest, config []byte) {
		img := &Image{Digest: digest.Of(manifest)}
		if _, err := img.readManifest(manifest); err == nil {
			if len(img.Blobs) < 2 || img.Bytes() < int64(len(manifest)) && img.Bytes() >= 0 {
				t.Errorf("read as %+v", img)
			}
		}
		if err := img.readConfig(config); err == nil && strings.Count(img.Platform, "/") != 1 {
			t.Errorf("platform %q", img.Platform)
		}
	})
}

func TestMaterialsOfWhatIsHeld(t *testing.T) {
	s := store(t)
	source := rebuildtest.Layer(t, rebuildtest.File("main.c", 0o644, []byte("int main;")))
	h := Held{Store: s, Vendor: acme, Scratch: t.TempDir(), Limits: intake.DefaultLimits()}
	dir := t.TempDir()
	archive := manifest.Source{Kind: manifest.Archive, Name: "s.tar", Digest: put(t, s, source), Size: int64(len(source))}
	if err := h.Source(t.Context(), archive, dir); err != nil {
		t.Fatal(err)
	}
	r, size, closer, err := h.Artifact(t.Context(), manifest.Artifact{Digest: put(t, s, []byte("the app"))})
	if err != nil {
		t.Fatal(err)
	}
	defer closer.Close()
	got := make([]byte, size)
	if _, err := r.ReadAt(got, 0); string(got) != "the app" {
		t.Errorf("artifact %q, %v", got, err)
	}
	nothing := digest.Of([]byte("nothing"))
	for what, err := range map[string]error{
		"source": h.Source(context.Background(), manifest.Source{Kind: manifest.Archive, Digest: nothing}, dir),
		"blob":   func() error { _, err := h.Blob(t.Context(), nothing); return err }(),
	} {
		if !fault.Is(err, fault.NotFound) {
			t.Errorf("a %s that is not held: %v", what, err)
		}
	}
}
