package sigstorebundle

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/sigstore-go/pkg/testing/data"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/countersign-escrow/countersign/verifier/publickey"
	"github.com/countersign-escrow/countersign/verifier/signature/anchor"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

var theManifest = []byte("the manifest\n")

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	return key
}

func named(id string, kind anchor.Kind, material string) anchor.Anchor {
	return anchor.Anchor{Name: "organizations/vendor/trustAnchors/" + id, Kind: kind, Material: material, Purpose: anchor.Release}
}

func keyAnchor(t testing.TB, id string, key crypto.PublicKey) anchor.Anchor {
	t.Helper()
	text, err := publickey.PEM(key)
	check(t, err)
	return named(id, anchor.PublicKey, text)
}

func identityAnchor(t testing.TB, id, issuer, subject string) anchor.Anchor {
	t.Helper()
	m, err := anchor.Material(anchor.Identity{Issuer: anchor.Name{Exact: issuer}, Subject: anchor.Name{Exact: subject}})
	check(t, err)
	return named(id, anchor.SigstoreIdentity, m)
}

func rootAnchor(id, material string) anchor.Anchor { return named(id, anchor.SigstoreRoot, material) }

func sign(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	b, err := Sign(key, theManifest)
	check(t, err)
	return b
}

func verifier(t testing.TB, anchors ...anchor.Anchor) *Verifier {
	t.Helper()
	v, err := New(anchors)
	check(t, err)
	return v
}

func manifest(b []byte) proof.File { return proof.Bytes(proof.Manifest, "manifest", b) }

// proveOne expects one proof.
func proveOne(t testing.TB, content []byte, of proof.File, anchors ...anchor.Anchor) proof.Proof {
	t.Helper()
	list, err := verifier(t, anchors...).Prove(t.Context(), content, of)
	check(t, err)
	if len(list) != 1 || list[0].Kind != Kind || (list[0].Problem == "") != (len(list[0].Anchors) > 0) || len(list[0].Problem) > 500 {
		t.Fatalf("%+v", list)
	}
	return list[0]
}

func wantGood(t testing.TB, content []byte, of proof.File, anchors ...anchor.Anchor) proof.Proof {
	t.Helper()
	p := proveOne(t, content, of, anchors...)
	if p.Problem != "" {
		t.Errorf("not good: %s", p.Problem)
	}
	return p
}

func wantProblem(t testing.TB, problem string, content []byte, of proof.File, anchors ...anchor.Anchor) {
	t.Helper()
	if p := proveOne(t, content, of, anchors...); !strings.Contains(p.Problem, problem) || problem == "" {
		t.Errorf("%q, want a problem with %q", p.Problem, problem)
	}
}

// realBundle is a bundle of sigstore-go's own test data.
func realBundle(t *testing.T, name string) []byte {
	t.Helper()
	return compact(t, data.Bundle(t, name).Bundle)
}

func realRoot(t *testing.T, name string) string {
	t.Helper()
	b, err := data.TrustedRoot(t, name).MarshalJSON()
	check(t, err)
	return string(b)
}

// example is a file of sigstore-go's examples.
func example(t testing.TB, name string) []byte {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/sigstore/sigstore-go").Output()
	if err != nil {
		t.Skipf("no go command to find the examples of sigstore-go with: %v", err)
	}
	b, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "examples", name))
	check(t, err)
	return b
}

func compact(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := protojson.Marshal(m)
	check(t, err)
	var out bytes.Buffer
	check(t, json.Compact(&out, b))
	return out.Bytes()
}

// editBundle changes a copy of a bundle.
func editBundle(t testing.TB, content []byte, edit func(*protobundle.Bundle)) []byte {
	t.Helper()
	var b protobundle.Bundle
	check(t, protojson.Unmarshal(content, &b))
	edit(&b)
	return compact(t, &b)
}

func editRoot(t testing.TB, material string, edit func(*prototrustroot.TrustedRoot)) string {
	t.Helper()
	var r prototrustroot.TrustedRoot
	check(t, protojson.Unmarshal([]byte(material), &r))
	edit(&r)
	return string(compact(t, &r))
}

// otherKey puts another key in a log's place, under the same id.
func otherKey(t testing.TB, logs []*prototrustroot.TransparencyLogInstance) {
	t.Helper()
	for _, l := range logs {
		der, err := publickey.DER(newKey(t).Public())
		check(t, err)
		l.PublicKey.RawBytes = der
	}
}

// inside lists offsets of bytes of a text in a file, away from its ends, where base64 has spare bits.
func inside(t testing.TB, content []byte, text string) []int {
	t.Helper()
	at := bytes.Index(content, []byte(text))
	if at < 0 || len(text) < 40 {
		t.Fatalf("no %q to change", text)
	}
	return []int{at + 12, at + len(text)/2, at + len(text) - 8}
}
