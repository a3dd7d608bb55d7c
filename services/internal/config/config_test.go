package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/countersign-escrow/countersign/services/internal/problem"
)

const small = `operator_country: CH
database: {url: "postgres://me@/countersign?host=/run/postgresql"}
objects: {folder: objects}
keys: keys
kek: {file: keys/kek}
log: /shared/log
work: work
`

func mustParse(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse("/etc/countersign/escrowd.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaultsAndPaths(t *testing.T) {
	c := mustParse(t, small)
	want := Config{
		Roles: []Role{API, Worker}, Listen: DefaultListen, HTTP: DefaultHTTP, OperatorCountry: "CH",
		Database: Database{URL: "postgres://me@/countersign?host=/run/postgresql"},
		Objects:  Objects{Folder: "/etc/countersign/objects"},
		Keys:     "/etc/countersign/keys", KEK: KEK{File: "/etc/countersign/keys/kek"}, Log: "/shared/log", Work: "/etc/countersign/work",
		Runtime: "runc", RebuildWorkers: 1, LogFormat: "text",
	}
	if !reflect.DeepEqual(*c, want) {
		t.Errorf("got  %+v\nwant %+v", *c, want)
	}
	if !c.Has(API) || !c.Has(Worker) {
		t.Error("no roles means both")
	}
}

func TestTheSampleIsRead(t *testing.T) {
	c, err := Read("../../../deploy/config/escrowd.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if c.KEK.Vault == nil || c.KEK.Vault.Mount != DefaultMount || c.Objects.S3 == nil || c.Objects.S3.Region != "eu-central-1" || c.LogFormat != "json" {
		t.Errorf("%+v", c)
	}
}

func TestTheDocumentShowsTheSampleAndEveryField(t *testing.T) {
	sample, err := os.ReadFile("../../../deploy/config/escrowd.yaml")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(doc), "```yaml\n"+string(sample)+"```") {
		t.Error("docs/configuration.md shows another file than deploy/config/escrowd.yaml")
	}
	for _, s := range []any{Config{}, Database{}, Objects{}, S3{}, KEK{}, Vault{}} {
		for name := range fieldsOf(reflect.TypeOf(s)) {
			if !strings.Contains(string(doc), "`"+name+"`") {
				t.Errorf("docs/configuration.md does not tell of %s", name)
			}
		}
	}
}

func TestMistakesAreToldWithTheirPlace(t *testing.T) {
	const database = `database: {url: "postgres://me@/countersign?host=/run/postgresql"}`
	for name, c := range map[string]struct{ old, new, want string }{
		"unknown field":      {"keys: keys", "keyz: keys", `escrowd.yaml:4: keyz: unknown field; there are database,`},
		"nested unknown":     {database, "database: {uri: x}", `:2: database.uri: unknown field; there are password_file, plaintext_unsafe, url, url_file`},
		"twice":              {"keys: keys", "keys: keys\nkeys: other", ":5: keys: is given twice"},
		"missing":            {"keys: keys\n", "", ":1: keys: is missing"},
		"empty":              {"keys: keys", "keys:", ":4: keys: is empty"},
		"a number":           {"keys: keys", "keys: 5", ":4: keys: must be text; put it in quotes"},
		"a list":             {"keys: keys", "keys: [a]", ":4: keys: must be text"},
		"an alias":           {"keys: keys\nkek: {file: keys/kek}", "keys: &k keys\nkek: {file: *k}", ":5: kek.file: is an alias"},
		"no mapping":         {database, "database: here", ":2: database: must be a mapping"},
		"no list":            {"log: /shared/log", "log: /shared/log\nroles: api", ":7: roles: must be a list"},
		"no such role":       {"log: /shared/log", "log: /shared/log\nroles: [api, server]", `:7: roles[1]: is "server", must be api or worker`},
		"role twice":         {"log: /shared/log", "log: /shared/log\nroles: [api, api]", ":7: roles[1]: is given twice"},
		"country":            {"operator_country: CH", "operator_country: Switzerland", ":1: operator_country: must be a country"},
		"address":            {"log: /shared/log", "log: /shared/log\nlisten: here", `:7: listen: is "here", must be host:port`},
		"port":               {"log: /shared/log", "log: /shared/log\nhttp: here:70000", `:7: http: is "here:70000", must be host:port`},
		"name with port":     {"log: /shared/log", "log: /shared/log\nnames: [\"a.example:1\"]", `:7: names[0]: is "a.example:1", must be a host name`},
		"workers":            {"log: /shared/log", "log: /shared/log\nrebuild_workers: 1000", ":7: rebuild_workers: is 1000, must be 1 to 256"},
		"no whole number":    {"log: /shared/log", "log: /shared/log\nrebuild_workers: 1.5", ":7: rebuild_workers: must be a whole number"},
		"log format":         {"log: /shared/log", "log: /shared/log\nlog_format: xml", `:7: log_format: is "xml", must be text or json`},
		"no database":        {database, "database: {}", ":2: database: must have either url or url_file"},
		"two databases":      {database, "database: {url: 'postgres://a@/b', url_file: c}", ":2: database: must have either"},
		"password":           {database, "database: {url: 'postgres://me:secret@/countersign'}", ":2: database.url: holds a password"},
		"password in query":  {database, "database: {url: 'postgres://me@/countersign?password=secret'}", ":2: database.url: holds a password"},
		"password file":      {database, "database: {url_file: a, password_file: b}", ":2: database.password_file: goes with url only"},
		"plaintext database": {database, "database: {url: 'postgres://me@db.example/countersign?sslmode=require'}", ":2: database.url: must have sslmode=verify-full"},
		"other database":     {database, "database: {url: 'mysql://me@/countersign'}", ":2: database.url: must be postgres://"},
		"no objects":         {"objects: {folder: objects}", "objects: {}", ":3: objects: must have either folder or s3"},
		"two stores":         {"objects: {folder: objects}", "objects: {folder: a, s3: {bucket: b}}", ":3: objects: must have either"},
		"plaintext store": {"objects: {folder: objects}", "objects: {s3: {endpoint: 'http://s3.example', bucket: bbb, access_key_file: a, secret_key_file: b}}",
			":3: objects.s3.endpoint: is not encrypted"},
		"user in endpoint": {"objects: {folder: objects}", "objects: {s3: {endpoint: 'https://a:b@s3.example', bucket: bbb, access_key_file: a, secret_key_file: b}}",
			":3: objects.s3.endpoint: holds a user"},
		"bucket": {"objects: {folder: objects}", "objects: {s3: {endpoint: 'https://s3.example', bucket: B, access_key_file: a, secret_key_file: b}}",
			`:3: objects.s3.bucket: is "B"`},
		"one key of two": {"objects: {folder: objects}", "objects: {s3: {endpoint: 'https://s3.example', bucket: bbb, access_key_file: a}}",
			":3: objects.s3: must have both access_key_file and secret_key_file"},
		"key inline":      {"objects: {folder: objects}", "objects: {s3: {secret_key: abc}}", ":3: objects.s3.secret_key: unknown field"},
		"no kek":          {"kek: {file: keys/kek}", "kek: {}", ":5: kek: must have either file or vault"},
		"plaintext vault": {"kek: {file: keys/kek}", "kek: {vault: {address: 'http://v.example', key: k, token_file: t}}", ":5: kek.vault.address: is not encrypted"},
		"vault's token":   {"kek: {file: keys/kek}", "kek: {vault: {address: 'https://v.example', key: k}}", ":5: kek.vault.token_file: is missing"},
		"former":          {"work: work", "work: work\nformer_keks: [{}]", ":8: former_keks[0]: must have either file or vault"},
		"two documents":   {"work: work", "work: work\n---\nwork: work", ": a second document follows"},
		"no YAML":         {"keys: keys", "keys: ]", ":4: did not find"},
	} {
		if !strings.Contains(small, c.old) {
			t.Fatalf("%s: nothing to replace", name)
		}
		_, err := Parse("escrowd.yaml", []byte(strings.Replace(small, c.old, c.new, 1)))
		var problems problem.Problems
		if !errors.As(err, &problems) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %s", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret@") {
			t.Errorf("%s: the password is repeated: %v", name, err)
		}
	}
	for name, text := range map[string]string{"nothing": "", "null": "~", "a word": "hello", "a list": "[]", "too long": strings.Repeat("#", MaxBytes+1)} {
		if _, err := Parse("escrowd.yaml", []byte(text)); err == nil {
			t.Errorf("%s is a configuration", name)
		}
	}
	if _, err := Read("/nowhere/escrowd.yaml"); err == nil || !strings.Contains(err.Error(), "/nowhere/escrowd.yaml: no such file") {
		t.Errorf("no file: %v", err)
	}
}

func TestPlaintextIsForThisMachineOrSaidToBeUnsafe(t *testing.T) {
	for _, database := range []string{
		"{url: 'postgres://me@127.0.0.1:5432/c'}", "{url: 'postgres://me@localhost/c'}", "{url: 'postgres://me@[::1]:5432/c'}",
		"{url: 'postgres://me@db.example/c', plaintext_unsafe: true}", "{url: 'postgres://me@db.example/c?sslmode=verify-full'}",
	} {
		mustParse(t, strings.Replace(small, `{url: "postgres://me@/countersign?host=/run/postgresql"}`, database, 1))
	}
	mustParse(t, strings.Replace(small, "{folder: objects}",
		"{s3: {endpoint: 'http://127.0.0.1:9000', bucket: bbb, access_key_file: a, secret_key_file: b}}", 1))
}

func write(t *testing.T, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := errors.Join(os.WriteFile(path, []byte(content), mode), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSecrets(t *testing.T) {
	if s, err := Secret(write(t, "hush\n", 0o600)); s != "hush" || err != nil {
		t.Errorf("%q, %v", s, err)
	}
	for name, path := range map[string]string{
		"for others":         write(t, "hush", 0o644),
		"for the group":      write(t, "hush", 0o660),
		"empty":              write(t, "\n", 0o600),
		"two lines":          write(t, "a\nb", 0o600),
		"too long":           write(t, strings.Repeat("x", maxSecret+1), 0o600),
		"a folder":           t.TempDir(),
		"nothing":            filepath.Join(t.TempDir(), "nothing"),
		"zero in the middle": write(t, "a\x00b", 0o600),
	} {
		if s, err := Secret(path); err == nil {
			t.Errorf("%s: %q", name, s)
		}
	}
}

func TestTheDatabasesPasswordComesFromAFile(t *testing.T) {
	d := Database{URL: "postgres://me@db.example/c?sslmode=verify-full", PasswordFile: write(t, "p@ss/word\n", 0o600)}
	if got, err := d.Source(); err != nil || got != "postgres://me:p%40ss%2Fword@db.example/c?sslmode=verify-full" {
		t.Errorf("%q, %v", got, err)
	}
	whole := Database{URLFile: write(t, "postgres://me:hush@localhost/c\n", 0o600)}
	if got, err := whole.Source(); err != nil || got != "postgres://me:hush@localhost/c" {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"postgres://me:hush@db.example/c", "mysql://me:hush@localhost/c"} {
		if got, err := (Database{URLFile: write(t, bad, 0o600)}).Source(); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%q, %v", got, err)
		}
	}
	cfg := mustParse(t, small)
	if err := cfg.Secrets(); err != nil {
		t.Error(err)
	}
	cfg.Database.PasswordFile = "/nowhere/password"
	if err := cfg.Secrets(); err == nil || !strings.Contains(err.Error(), "database.password_file") {
		t.Errorf("a password file that is not there: %v", err)
	}
}

var placed = regexp.MustCompile(`^f\.yaml(:[1-9][0-9]*)?: .`)

func FuzzParse(f *testing.F) {
	f.Add([]byte(small))
	sample, err := os.ReadFile("../../../deploy/config/escrowd.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sample)
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("kek: {vault: {key: !!binary aGk=}}\n? [x]\n: y\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Parse("f.yaml", b)
		if err == nil {
			if len(c.Roles) == 0 || c.Keys == "" || c.Log == "" || c.Work == "" || (c.KEK.File == "") == (c.KEK.Vault == nil) {
				t.Fatalf("%+v is no whole configuration", c)
			}
			return
		}
		var problems problem.Problems
		if !errors.As(err, &problems) || len(problems) > problem.Max {
			t.Fatalf("%T: %v", err, err)
		}
		for _, p := range problems {
			if !placed.MatchString(p.String()) {
				t.Errorf("no place in %q", p)
			}
		}
	})
}
