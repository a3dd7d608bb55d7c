-- One key for each vendor, from which all that it deposits is sealed, wrapped by a key-encryption key. Without it, what is
-- in the object store cannot be read.

-- +goose Up

CREATE TABLE vendor_keys (
    holder TEXT PRIMARY KEY REFERENCES organizations (name),
    kek TEXT NOT NULL,
    wrapped BYTEA NOT NULL,
    created BIGINT NOT NULL,
    rewrapped BIGINT
);
