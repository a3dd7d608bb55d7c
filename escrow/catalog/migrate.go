package catalog

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema up to date. It never goes back: what is in custody is not to be dropped.
func migrate(ctx context.Context, db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
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
