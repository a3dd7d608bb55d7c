package catalog

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

//go:embed migrations/*.sql
var migrations embed.FS

var gooseDialects = map[Dialect]goose.Dialect{SQLite: goose.DialectSQLite3, PostgreSQL: goose.DialectPostgres}

// migrate brings the schema up to date. It never goes back: what is in custody is not to be dropped.
func (c *Catalog) migrate(ctx context.Context) error {
	p, err := c.migrations()
	if err != nil {
		return err
	}
	have, known, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("schema version: %w", err)
	}
	if have > known {
		return fault.Preconditionf("SCHEMA_TOO_NEW", "", "the database has schema %d and this program knows schemas up to %d", have, known).
			WithAdvice("start the newer program that made it")
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("bring schema %d to %d: %w", have, known, err)
	}
	return nil
}

func (c *Catalog) migrations() (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	p, err := goose.NewProvider(gooseDialects[c.dialect.name], c.db, files)
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	return p, nil
}
