package catalog

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/countersign-escrow/countersign/escrow/catalog/pgtest"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
)

// places make an empty place for a database, and return what opens it.
var places = map[string]func(t *testing.T) func() (*Catalog, error){
	"sqlite": func(t *testing.T) func() (*Catalog, error) {
		path := filepath.Join(t.TempDir(), "catalog.db")
		return func() (*Catalog, error) { return Open(context.Background(), path) }
	},
	"postgres": func(t *testing.T) func() (*Catalog, error) {
		url := pgtest.Start(t).URL(t)
		return func() (*Catalog, error) { return OpenPostgres(context.Background(), url) }
	},
}

// A row is in the catalog of a version as the program of that version wrote it.
type rowAt struct {
	version int64 // from which on its table is there
	table   string
	columns string
	values  []any
}

const (
	hexA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	at   = int64(1_700_000_000_000_000)
)

// history is rows in every table, each written in the columns that the table had at first.
var history = []rowAt{
	{1, "counters", "name, value", []any{"access to organizations/acme", 1}},
	{1, "organizations", "name, kind, country, display_name, created", []any{"organizations/acme", "VENDOR", "NO", "Acme é", at}},
	{1, "organizations", "name, kind, country, display_name, created", []any{"organizations/lab-a", "EVALUATOR", "FR", "Lab", at}},
	{1, "enrolment_tokens", "hash, organization, member, expires, used", []any{hexA, "organizations/acme", "m", at, nil}},
	{1, "certificates", "serial, organization, member, not_after, revoked", []any{"01", "organizations/acme", "m", at, nil}},
	{1, "products", "name, vendor, display_name, created", []any{"organizations/acme/products/router", "organizations/acme", "Router", at}},
	{1, "trust_anchors", "id, organization, purpose, product, public_key_pem, key_id, valid_from, valid_until, revoked, created",
		[]any{"a1", "organizations/acme", "RELEASE", nil, "pem", "k", nil, nil, nil, at}},
	{1, "blobs", "holder, digest, size, created", []any{"organizations/acme", hexA, int64(1) << 40, at}},
	{1, "environments", "vendor, image, display_name, platform, blobs, created",
		[]any{"organizations/acme", hexA, "d", "linux/amd64", `[{"digest":"` + hexA + `","size":7}]`, at}},
	{1, "releases", "name, product, version, state, manifest_digest, manifest, signatures, receipt_id, request_id, created, sealed, checks_complete",
		[]any{"organizations/acme/products/router/releases/1.0", "organizations/acme/products/router", "1.0", "SEALED", hexA,
			[]byte("{\x00\xff}"), `[{"mediaType":"m","content":"AQI="}]`, "at1", "q1", at, at + 1, 1}},
	{1, "release_files", "release, digest, size, role, path",
		[]any{"organizations/acme/products/router/releases/1.0", hexA, 7, "ARTIFACT", "bin/a"}},
	{1, "release_events", "release, seq, finding_id, created", []any{"organizations/acme/products/router/releases/1.0", 1, "f1", at}},
	{1, "findings", "id, release, seq, finding, check_name, outcome, verdict, artifact, rebuilder, attestation_id, created",
		[]any{"f1", "organizations/acme/products/router/releases/1.0", 1, `{"a":"é"}`, "SIGNATURE", "PASSED", "", "", nil, "at1", at}},
	{1, "rebuilds", "id, release, rebuilder, state, lease_token, lease_until, attempts, platform, created",
		[]any{"r1", "organizations/acme/products/router/releases/1.0", "organizations/lab-a", "LEASED", 3, at, 3, "linux/amd64", at}},
	{1, "attestations", "id, release, owner, audience, signer, public_key_pem, predicate_type, subjects, envelope, stamp, bundle, state, log_index, leaf_hash, created",
		[]any{"at1", "organizations/acme/products/router/releases/1.0", "organizations/acme", nil, "organizations/acme", "pem", "type",
			`["` + hexA + `"]`, []byte("envelope"), []byte("stamp"), []byte("bundle"), "PUBLISHED", 0, hexA, at}},
	{1, "attestation_subjects", "digest, attestation_id", []any{hexA, "at1"}},
	{1, "policies", "organization, version, source, digest, created", []any{"organizations/lab-a", 1, "source", hexA, at}},
	{1, "reports", "attestation_id, made, seq, evaluator, release, policy_version, policy_digest, decision, rules, content_digest, superseded, created",
		[]any{"at1", 1, 1, "organizations/lab-a", "organizations/acme/products/router/releases/1.0", 1, hexA, "ACCEPTED", "[]", hexA, 0, at}},
	{1, "grants", "id, vendor, grantee, product, valid_from, valid_until, revoked, created",
		[]any{"g1", "organizations/acme", "organizations/lab-a", "organizations/acme/products/router", at, at + 5, nil, at}},
	{1, "access_records", "vendor, seq, reader, member, resource, grant_id, bytes, time",
		[]any{"organizations/acme", 1, "organizations/lab-a", "m", "organizations/acme/products/router/releases/1.0/files/" + hexA, "g1", 9, at}},
	{1, "requests", "organization, method, request_id, fingerprint, resource, created",
		[]any{"organizations/acme", "CreateProduct", "q1", hexA, "organizations/acme/products/router", at}},
	{2, "vendor_keys", "holder, kek, wrapped, created, rewrapped", []any{"organizations/acme", "file:1", []byte("wrapped"), at, nil}},
	{3, "retentions", "release, years, last_sealed, retain_until, locked_until, locked_hold", nil}, // made by the migration itself
	{3, "holds", "id, release, reason, placed, placed_by, placed_member, lifted",
		[]any{"h1", "organizations/acme/products/router/releases/1.0", "why", at, "organizations/lab-a", "m", nil}},
	{4, "scrubs", "id, state, running, started_by, member, rate, planned_blobs, planned_bytes, holder, digest, blobs, bytes, reading, created, updated, ended",
		[]any{"s1", "DONE", nil, "organizations/lab-a", "m", 0, 1, 7, "organizations/acme", hexA, 1, 7, 0, at, at, at}},
	{4, "scrub_damages", "scrub, holder, digest, size, kind, at_byte, problem, found",
		[]any{"s1", "organizations/acme", hexA, 7, "DAMAGED", nil, "p", at}},
	{5, "processes", "id, host, roles, started, seen, beats", []any{"p1", "h", "worker", at, at, 4}},
	{5, "jobs_waiting", "job, times", []any{"evaluate {}", 1}},
	{6, "trust_anchors", "id, organization, purpose, material, key_id, created, kind, description, compromised, unsafe",
		[]any{"a2", "organizations/acme", "SOURCE", "ring", "", at, "OPENPGP", "d", 1, `{"sha1Unsafe":true}`}},
}

func (r rowAt) insert(t *testing.T, c *Catalog) {
	t.Helper()
	if r.values == nil {
		return
	}
	var marks arguments
	statement := `INSERT INTO ` + r.table + ` (` + r.columns + `) VALUES (` + list(&marks, r.values) + `)`
	if _, err := c.db.Exec(statement, r.values...); err != nil {
		t.Fatalf("%s: %v", r.table, err)
	}
}

func (c *Catalog) rows(t *testing.T, table string) (n int) {
	t.Helper()
	must(t, c.db.QueryRow(`SELECT COUNT(*) FROM `+table).Scan(&n))
	return n
}

// emptied takes a database back to nothing, so that it can be brought to an earlier version.
func emptied(t *testing.T, c *Catalog) *goose.Provider {
	t.Helper()
	for _, table := range c.tables(t) {
		cascade := map[Dialect]string{PostgreSQL: " CASCADE"}[c.Dialect()]
		if _, err := c.db.Exec(`DROP TABLE ` + table + cascade); err != nil {
			t.Fatal(err)
		}
	}
	return get[*goose.Provider](t)(c.migrations())
}

// tables lists the tables of a catalog, those that others point to last.
func (c *Catalog) tables(t *testing.T) []string {
	t.Helper()
	query := map[Dialect]string{
		SQLite:     `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid DESC`,
		PostgreSQL: `SELECT tablename FROM pg_tables WHERE schemaname = current_schema()`,
	}[c.Dialect()]
	rows := get[*sql.Rows](t)(c.db.Query(query))
	defer rows.Close() //nolint:errcheck
	var names []string
	for rows.Next() {
		var name string
		must(t, rows.Scan(&name))
		names = append(names, name)
	}
	must(t, rows.Err())
	return names
}

func TestForwardFromEveryVersion(t *testing.T) {
	newest := history[len(history)-1].version
	for database, place := range places {
		for from := int64(1); from <= newest; from++ {
			t.Run(fmt.Sprintf("%s from %d", database, from), func(t *testing.T) {
				open := place(t)
				old := get[*Catalog](t)(open())
				p := emptied(t, old)
				_, known, err := p.GetVersions(t.Context())
				must(t, err)
				wantEqual(t, "versions that history has rows of", newest, known)
				for _, r := range history { // as it went: rows came before the migrations that change their table
					if r.version <= from {
						get[[]*goose.MigrationResult](t)(p.UpTo(t.Context(), r.version))
						r.insert(t, old)
					}
				}
				must(t, old.Close())

				c := get[*Catalog](t)(open())
				defer func() { must(t, c.Close()) }()
				for _, table := range c.tables(t) {
					if !inHistory(table) {
						t.Errorf("history has no row of %s", table)
					}
					wantEqual(t, table, c.rows(t, table), rowsOf(table, from))
				}
				readsHistory(t, c)
			})
		}
	}
}

func inHistory(table string) bool {
	return table == "goose_db_version" || slices.ContainsFunc(history, func(r rowAt) bool { return r.table == table })
}

// rowsOf is how many rows a table has after the migrations from a version on.
func rowsOf(table string, from int64) (n int) {
	if table == "goose_db_version" {
		return int(history[len(history)-1].version) + 1
	}
	for _, r := range history {
		switch {
		case r.table != table:
		case r.version <= from, table == "retentions": // made by the migration, of the release that is there before
			n++
		}
	}
	return n
}

// readsHistory reads everything through the methods of today.
func readsHistory(t *testing.T, c *Catalog) {
	t.Helper()
	lab := resource.Organization{ID: "lab-a"}
	d := get[digest.Digest](t)(digest.Parse(hexA))
	view(t, c, func(tx *Tx) {
		wantEqual(t, "organization", get[*Organization](t)(tx.Organization(acme)).DisplayName, "Acme é")
		wantEqual(t, "certificate", get[*Certificate](t)(tx.Certificate("01")).Member, "m")
		wantEqual(t, "product", get[*Product](t)(tx.Product(router)).DisplayName, "Router")
		wantEqual(t, "anchor", *get[*TrustAnchor](t)(tx.TrustAnchor(acme, "a1")), TrustAnchor{ID: "a1", Organization: acme, Purpose: PurposeRelease,
			Kind: AnchorPublicKey, Material: "pem", KeyID: "k", Created: time.UnixMicro(at).UTC()})
		wantEqual(t, "blob", *get[*Deposited](t)(tx.Deposited(acme, d)), Deposited{Size: 1 << 40})
		wantEqual(t, "environment", get[*Environment](t)(tx.Environment(acme, d)).Blobs[0].Size, 7)
		r := get[*Release](t)(tx.Release(router1))
		wantEqual(t, "release", fmt.Sprintf("%s %q %s %s %v %d", r.State, r.Manifest, r.Signatures[0].Content, r.ReceiptID, r.ChecksComplete, len(r.Files)),
			"SEALED \"{\\x00\\xff}\" \x01\x02 at1 true 1")
		wantEqual(t, "event", get[[]ReleaseEvent](t)(tx.ReleaseEvents(router1, 0, 0))[0].FindingID, "f1")
		wantEqual(t, "finding", string(get[*Finding](t)(tx.Finding(router1, "f1")).Finding), `{"a":"é"}`)
		wantEqual(t, "rebuild", get[*Rebuild](t)(tx.Rebuild(lab, "r1")).LeaseToken, 3)
		a := get[*Attestation](t)(tx.AttestationFor("at1", lab, r.Created))
		wantEqual(t, "attestation", fmt.Sprintf("%s %s %s %d %v", a.Envelope, a.Stamp, a.Bundle, a.LogIndex, a.Subjects), "envelope stamp bundle 0 ["+hexA+"]")
		wantEqual(t, "policy", get[*Policy](t)(tx.CurrentPolicy(lab)).Source, "source")
		wantEqual(t, "report", get[*Report](t)(tx.Report(lab, 1)).Decision, "ACCEPTED")
		wantEqual(t, "grant", get[*Grant](t)(tx.Grant(acme, "g1")).Until.UnixMicro(), at+5)
		wantEqual(t, "access", get[[]AccessRecord](t)(tx.AccessRecords(acme, 0, 0))[0].Bytes, 9)
		made, seen, err := tx.Request(Request{Organization: acme, Method: "CreateProduct", ID: "q1", Fingerprint: d})
		wantEqual(t, "request", fmt.Sprintln(made, seen, err), "organizations/acme/products/router true <nil>\n")
	})
	update(t, c, func(tx *Tx) { // the next numbers go on where the old ones stood
		record := AccessRecord{Vendor: acme, Reader: lab, Resource: "r", Time: now}
		must(t, tx.InsertAccess(&record))
		wantEqual(t, "next access", record.Seq, 2)
	})
}

func TestNewerSchemaIsRefused(t *testing.T) {
	for name, place := range places {
		t.Run(name, func(t *testing.T) {
			open := place(t)
			c := get[*Catalog](t)(open())
			if _, err := c.db.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, ` +
				map[Dialect]string{SQLite: `1`, PostgreSQL: `TRUE`}[c.Dialect()] + `)`); err != nil {
				t.Fatal(err)
			}
			must(t, c.Close())
			_, err := open()
			wantKind(t, "opening", err, fault.Precondition)
			if err == nil || !strings.Contains(err.Error(), "schema 99999") {
				t.Errorf("the error does not name the version: %v", err)
			}
		})
	}
}
