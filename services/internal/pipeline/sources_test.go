package pipeline_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/manifest"
	"github.com/countersign-escrow/countersign/services/internal/servicetest"
	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/countersign-escrow/countersign/verifier/rebuild/rebuildtest"
)

func member(t *testing.T, h tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "ok", Typeflag: tar.TypeReg, Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	if err := w.WriteHeader(&h); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Each source that cannot be used is named in the finding with what is wrong and where.
func TestHostileSourcesEndInAFinding(t *testing.T) {
	s := servicetest.New(t)
	s.Start(t)
	v := s.Vendor(t, "acme")
	pointer := func(content string) []byte {
		return []byte(fmt.Sprintf("version https://git-lfs.github.com/spec/v1\noid %s\nsize %d\n", digest.Of([]byte(content)), len(content)))
	}
	cut := member(t, tar.Header{Name: "last", Typeflag: tar.TypeReg})
	problems := []struct {
		packed []byte
		want   string
	}{
		{member(t, tar.Header{Name: "../out", Typeflag: tar.TypeReg}), `"../out" (byte 512): its path has the component ".."`},
		{member(t, tar.Header{Name: "sub/.GIT/config", Typeflag: tar.TypeReg}), `"sub/.GIT/config" (byte 512): its path has a component that stands for .git`},
		{member(t, tar.Header{Name: "OK", Typeflag: tar.TypeReg}), `"OK" (byte 512): it has the path of "ok"`},
		{member(t, tar.Header{Name: "link", Typeflag: tar.TypeSymlink, Linkname: "../../etc/passwd"}), `"link" (byte 512): the link's target "../../etc/passwd" leaves the tree`},
		{member(t, tar.Header{Name: "hard", Typeflag: tar.TypeLink, Linkname: "ok"}), `"hard" (byte 512): is a hard link`},
		{member(t, tar.Header{Name: "disk", Typeflag: tar.TypeBlock}), `"disk" (byte 512): is a device`},
		{cut[:len(cut)-1024], "archive: ends at byte 1024 without the blank blocks"},
		{rebuildtest.Layer(t, rebuildtest.File("large.bin", 0o644, pointer("not held"))), `"large.bin" (byte 0): is a Git LFS pointer to sha256:`},
		{rebuildtest.Layer(t, rebuildtest.File("large.bin", 0o644, pointer("held"))), ""},
	}
	r := v.Prepare(t, "1.0", map[string]string{"app": "the app"})
	r.Manifest.Sources = nil
	for i, p := range problems {
		r.Manifest.Sources = append(r.Manifest.Sources, manifest.Source{Kind: manifest.Archive, Name: fmt.Sprintf("%d.tar", i), Into: fmt.Sprint(i),
			Digest: r.Blobs.Put(p.packed), Size: int64(len(p.packed)), LFS: []manifest.File{{Digest: r.Blobs.Put([]byte("held")), Size: 4}}})
	}
	r.Sign(t, v.Key)
	v.Open(t, r)
	if _, err := v.Seal(t.Context(), t, r); err != nil {
		t.Fatal(err)
	}
	v.Checked(t, r)
	f := found(t, s, r.Name)
	source := f["SOURCE by operator"]
	if source.Outcome != finding.Failed || !strings.HasPrefix(source.Summary, `0.tar: "../out" (byte 512): `) || f["app by operator"].Verdict != finding.Incomplete {
		t.Errorf("%+v, %+v", source, f["app by operator"])
	}
	for i, p := range problems {
		e := source.Evidence.Sources[i]
		if p.want == "" {
			if e.Problem != "" || e.Unpacked == "" || e.Unpacked == e.Tree {
				t.Errorf("%s: %+v", e.Name, e)
			}
		} else if !strings.HasPrefix(e.Problem, p.want) || e.Tree != "" {
			t.Errorf("%s: %q, want %q", e.Name, e.Problem, p.want)
		}
	}
}
