package statement

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
)

const sum = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" // SHA-256 of "test"

// statement writes one of a predicate about the file app, whose content is "test".
func statement(predicateType, predicate string) []byte { return about("app", predicateType, predicate) }

func about(name, predicateType, predicate string) []byte {
	return fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":%q,"digest":{"sha256":%q}}],"predicateType":%q,"predicate":%s}`,
		name, sum, predicateType, predicate)
}

func TestParseRefuses(t *testing.T) {
	good := string(statement("x", "{}"))
	if _, err := Parse([]byte(good)); err != nil {
		t.Fatal(err)
	}
	subjects := func(n int) string {
		return strings.Replace(good, `"subject":[`, `"subject":[`+strings.Repeat(`{"digest":{"a":"b"}},`, n), 1)
	}
	for name, c := range map[string]struct{ in, want string }{
		"nothing":          {"", "EOF"},
		"cut off":          {good[:len(good)-2], "EOF"},
		"a list":           {"[" + good + "]", "no JSON object"},
		"more":             {good + "{}", "something follows"},
		"no UTF-8":         {strings.Replace(good, "app", "\xff", 1), "UTF-8"},
		"type":             {strings.Replace(good, "/v1", "/v2", 1), "_type"},
		"type in capitals": {strings.Replace(good, "_type", "_Type", 1), "_type"},
		"subject twice":    {strings.Replace(good, `"predicate"`, `"subject":[],"predicate"`, 1), `"subject" twice`},
		"digest twice":     {strings.Replace(good, `{"sha256"`, `{"sha256":"","sha256"`, 1), `"sha256" twice`},
		"Subject":          {strings.Replace(good, `"subject"`, `"Subject"`, 1), "subject: has 0"},
		"no subject":       {strings.Replace(good, `"subject":[`, `"subject":[],"x":[`, 1), "subject: has 0"},
		"subject a text":   {strings.Replace(good, `"subject":[`, `"subject":["a",`, 1), "subject 1: is no object"},
		"no digest":        {strings.Replace(good, `"sha256":"`+sum+`"`, "", 1), "subject 1: has no digest"},
		"bad digest":       {strings.Replace(good, sum, sum[1:], 1), "subject 1: sha256"},
		"digest no text":   {strings.Replace(good, `"`+sum+`"`, "5", 1), "subject 1: sha256"},
		"bad SHA-512":      {strings.Replace(good, "sha256", "sha512", 1), "subject 1: sha512"},
		"no predicate":     {strings.Replace(good, `"predicateType":"x"`, `"predicateType":""`, 1), "predicateType"},
		"old provenance":   {string(statement("https://slsa.dev/provenance/v0.1", "{}")), "is not read"},
		"subjects":         {subjects(MaxSubjects), "subject: has 10001"},
		"deep":             {strings.Replace(good, `"predicate":{}`, `"predicate":`+strings.Repeat("[", maxDepth)+strings.Repeat("]", maxDepth), 1), "nested"},
		"long":             {good + strings.Repeat(" ", MaxBytes), "at most"},
	} {
		if _, err := Parse([]byte(c.in)); err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 500 {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (s *Statement) written() string {
	var all []string
	for _, r := range s.sources {
		all = append(all, fmt.Sprintf("%s %s %s %.6s", r.at, r.repository, r.ref, r.commit))
	}
	return strings.Join(all, "; ")
}

func TestSourcesOfRealStatements(t *testing.T) {
	const js = "https://github.com/sigstore/sigstore-js refs/heads/main"
	for name, want := range map[string]string{
		"npm-sigstore-2.0.0.json":         "externalParameters.workflow " + js + " ; resolvedDependencies 1 " + js + " f0b49a",
		"npm-sigstore-1.3.0.json":         "invocation.configSource " + js + " dae8bd; materials 1 " + js + " dae8bd",
		"npm-sigstore-1.3.0-publish.json": "",
		"slsa-demo.json": "invocation.configSource https://github.com/github/slsa-provenance refs/heads/demo 29cff3; " +
			"materials 1 https://github.com/github/slsa-provenance  29cff3",
	} {
		s, err := Parse(read(t, name))
		if err != nil || s.written() != want || len(s.Subjects) != 1 || s.Subjects[0].SHA512 == "" {
			t.Errorf("%s: %s, %+v, %v", name, s.written(), s.Subjects, err)
		}
	}
}

// Sources are those of the build, and not its tools.
func TestSources(t *testing.T) {
	id, other := strings.Repeat("a", 40), strings.Repeat("b", 40)
	v1 := func(parameters, dependencies string) string {
		return fmt.Sprintf(`{"buildDefinition":{"externalParameters":{%s},"resolvedDependencies":[%s]}}`, parameters, dependencies)
	}
	dependency := func(uri, commit string) string {
		return fmt.Sprintf(`{"uri":%q,"digest":{"gitCommit":%q}}`, uri, commit)
	}
	for name, c := range map[string]struct{ kind, predicate, want string }{
		"workflow, and tools": {provenanceV1, v1(`"workflow":{"repository":"https://h/o/r","ref":"refs/tags/v1"}`,
			dependency("git+https://h/actions/checkout@refs/tags/v4", other)+","+dependency("git+https://h/o/r@refs/tags/v1", id)),
			"externalParameters.workflow https://h/o/r refs/tags/v1 ; resolvedDependencies 2 https://h/o/r refs/tags/v1 aaaaaa"},
		"tools alone": {provenanceV1, v1(`"workflow":{"repository":"https://h/o/r","ref":"refs/tags/v1"}`, dependency("git+https://h/tool", other)),
			"externalParameters.workflow https://h/o/r refs/tags/v1 "},
		"no parameters": {provenanceV1, v1("", `{"uri":"https://h/tool.jar","digest":{"sha256":"x"}},`+dependency("git+https://h/o/r.git", id)+","+dependency("git+https://h/t", other)),
			"resolvedDependencies 2 https://h/o/r  aaaaaa"},
		"source as an object": {provenanceV1, v1(`"source":{"uri":"git+https://h/o/r@refs/tags/v1","digest":{"sha1":"`+id+`"}}`, ""),
			"externalParameters.source https://h/o/r refs/tags/v1 aaaaaa"},
		"source as a text": {provenanceV1, v1(`"source":"https://h/o/r"`, dependency("https://h/o/r", id)),
			"externalParameters.source https://h/o/r  ; resolvedDependencies 1 https://h/o/r  aaaaaa"},
		"buildConfigSource": {provenanceV1, v1(`"buildConfigSource":{"repository":"git+https://h/o/r","ref":"refs/heads/main"}`, ""),
			"externalParameters.buildConfigSource https://h/o/r refs/heads/main "},
		"commit in the URI":       {provenanceV2, `{"materials":[{"uri":"git+https://h/o/r@` + id + `"}]}`, "materials 1 https://h/o/r  aaaaaa"},
		"short name, folder":      {provenanceV2, `{"materials":[{"uri":"git+ssh://git@h/o/r@v1#dir"}]}`, "materials 1 ssh://git@h/o/r v1 "},
		"a tag with an at":        {provenanceV2, `{"materials":[{"uri":"git+https://h/o/r@refs/tags/@s/n@1.0"}]}`, "materials 1 https://h/o/r refs/tags/@s/n@1.0 "},
		"capitals":                {provenanceV2, `{"materials":[{"uri":"git+https://h/r","digest":{"sha1":"` + strings.ToUpper(id) + `"}}]}`, "materials 1 https://h/r  aaaaaa"},
		"no git":                  {provenanceV2, `{"materials":[{"uri":"pkg:deb/debian/gcc@12","digest":{"sha256":"x"}}, 5]}`, ""},
		"another predicate":       {"https://in-toto.io/attestation/test-result/v0.1", v1(`"source":"https://h/o/r"`, ""), ""},
		"no predicate worth that": {provenanceV1, `[]`, ""},
	} {
		s, err := Parse(statement(c.kind, c.predicate))
		if err != nil || s.written() != c.want {
			t.Errorf("%s: %v, %v, want %s", name, s.written(), err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"npm-sigstore-2.0.0.json", "npm-sigstore-1.3.0.json", "npm-sigstore-1.3.0-publish.json", "slsa-demo.json"} {
		f.Add(read(f, name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Parse(b)
		if err != nil {
			return
		}
		for _, one := range s.Subjects {
			if !one.SHA256.IsZero() && !bytes.Contains(b, []byte(one.SHA256.Hex())) && !bytes.Contains(b, []byte(`\u`)) {
				t.Errorf("%q: %+v", b, one)
			}
		}
		if _, _, problem, err := s.Cover(release()); err != nil || len(problem) > 500 {
			t.Errorf("%q: %q, %v", b, problem, err)
		}
	})
}
