package rebuild

import (
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/manifest"
)

func testManifest() *manifest.Manifest {
	return &manifest.Manifest{
		Schema:      manifest.Schema,
		Product:     "organizations/acme/products/router",
		Version:     "1.0.0",
		Sources:     []manifest.Source{{Kind: manifest.Archive, Name: "src.tar", Digest: digest.Of([]byte("src")), Size: 3}},
		Artifacts:   []manifest.Artifact{{Path: "bin/x", Digest: digest.Of([]byte("x")), Size: 1, Rebuilt: "out.bin", Platform: "linux/amd64"}},
		Environment: manifest.Environment{Image: digest.Of([]byte("image"))},
		Recipe:      manifest.Recipe{Argv: []string{"make"}, Dir: "sub"},
	}
}

func TestNewPlan(t *testing.T) {
	m := testManifest()
	m.Recipe.Env = map[string]string{"CC": "gcc", "TZ": "CET-1"}
	m.Recipe.Limits = manifest.Limits{WallSeconds: 60, MemoryBytes: 1 << 50}
	p, err := NewPlan(m, Setting{Conditions: FirstConditions, Platform: "linux/amd64", Path: "/opt/bin",
		SourceTime: time.Unix(1700000000, 5), Bounds: DefaultBounds()})
	if err != nil {
		t.Fatal(err)
	}
	wantEnv := map[string]string{"HOME": "/build/home", "PATH": "/opt/bin", "TZ": "CET-1", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8",
		"SOURCE_DATE_EPOCH": "1700000000", "CC": "gcc"}
	if !maps.Equal(p.Env, wantEnv) {
		t.Errorf("env %v, want %v", p.Env, wantEnv)
	}
	wantLimits := DefaultBounds().Default
	wantLimits.WallSeconds, wantLimits.MemoryBytes = 60, DefaultBounds().Most.MemoryBytes
	if p.Limits != wantLimits {
		t.Errorf("limits %+v, want %+v", p.Limits, wantLimits)
	}
	if p.Dir != "/build/source/sub" || !reflect.DeepEqual(p.Outputs, []Output{{"bin/x", "/build/source/sub/out.bin"}}) {
		t.Errorf("dir %q, outputs %v", p.Dir, p.Outputs)
	}
	again, _ := NewPlan(m, Setting{Conditions: FirstConditions, Platform: "linux/amd64", Path: "/opt/bin",
		SourceTime: time.Unix(1700000000, 5), Bounds: DefaultBounds()})
	if again.Digest() != p.Digest() || p.Digest().IsZero() {
		t.Error("the same plan has another digest")
	}
	again.Env["CC"] = "clang"
	if again.Digest() == p.Digest() {
		t.Error("another plan has the same digest")
	}
}

func TestNewPlanDefaults(t *testing.T) {
	p, err := NewPlan(testManifest(), Setting{Conditions: SecondConditions, Bounds: DefaultBounds()})
	if err != nil {
		t.Fatal(err)
	}
	if p.Limits != DefaultBounds().Default {
		t.Errorf("limits %+v", p.Limits)
	}
	if _, there := p.Env["SOURCE_DATE_EPOCH"]; there || p.Env["PATH"] != defaultPath || p.Env["TZ"] != "XXX-13:45" {
		t.Errorf("env %v", p.Env)
	}
}

func TestNewPlanRefusesWhatIsMalformed(t *testing.T) {
	m := testManifest()
	m.Artifacts[0].Rebuilt = "../../../etc/passwd"
	if _, err := NewPlan(m, Setting{}); !fault.Is(err, fault.Invalid) {
		t.Errorf("%v", err)
	}
}

func TestConditionsDifferInAll(t *testing.T) {
	first, second := FirstConditions.words(), SecondConditions.words()
	for k, v := range first {
		if v == "" || second[k] == v {
			t.Errorf("%s is %q in both runs", k, v)
		}
	}
	if len(first) != reflect.TypeFor[Conditions]().NumField() {
		t.Errorf("evidence has %d words for %d conditions", len(first), reflect.TypeFor[Conditions]().NumField())
	}
}

func TestWorkspaceName(t *testing.T) {
	for in, want := range map[string]string{"/build": ".", "/build/out/x": "out/x"} {
		if got := workspaceName(in); got != want || strings.HasPrefix(got, "/") {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}
