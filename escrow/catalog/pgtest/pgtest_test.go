package pgtest

import (
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(t.Context()) }) //nolint:errcheck // the server may be gone
	return c
}

func TestEachDatabaseIsNewAndSortsByBytes(t *testing.T) {
	s := Start(t)
	if Start(t) != s {
		t.Error("the binary does not share its server")
	}
	for range 2 {
		c := connect(t, s.URL(t))
		var first string
		if _, err := c.Exec(t.Context(), `CREATE TABLE words (word TEXT)`); err != nil {
			t.Fatal(err)
		}
		if err := c.QueryRow(t.Context(), `SELECT w FROM (VALUES ('a'), ('B')) AS v (w) ORDER BY w`).Scan(&first); err != nil || first != "B" {
			t.Errorf("%q is first, %v", first, err)
		}
	}
}

func TestWhatWasCommittedOutlivesACrash(t *testing.T) {
	s := StartOwn(t, Options{Durable: true})
	url := s.URL(t)
	c := connect(t, url)
	if _, err := c.Exec(t.Context(), `CREATE TABLE words AS SELECT 'kept' AS word`); err != nil {
		t.Fatal(err)
	}
	s.Kill(t)
	if err := c.Ping(t.Context()); err == nil {
		t.Error("a killed server answers")
	}
	s.Resume(t)
	var word string
	if err := connect(t, url).QueryRow(t.Context(), `SELECT word FROM words`).Scan(&word); err != nil || word != "kept" {
		t.Errorf("%q, %v", word, err)
	}
}
