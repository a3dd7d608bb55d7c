-- Scrubs read back everything that is held.

-- +goose Up

CREATE TABLE scrubs (
    id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    -- 1 while it runs, else NULL: one runs at a time.
    running BIGINT UNIQUE,
    started_by TEXT NOT NULL,
    member TEXT NOT NULL,
    rate BIGINT NOT NULL,
    planned_blobs BIGINT NOT NULL,
    planned_bytes BIGINT NOT NULL,
    -- How far it came: everything up to this blob was looked at.
    holder TEXT NOT NULL,
    digest TEXT NOT NULL,
    blobs BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    -- Bytes read of blobs that are not done yet.
    reading BIGINT NOT NULL,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    ended BIGINT
);

CREATE TABLE scrub_damages (
    scrub TEXT NOT NULL REFERENCES scrubs (id),
    holder TEXT NOT NULL,
    digest TEXT NOT NULL,
    size BIGINT NOT NULL,
    kind TEXT NOT NULL,
    -- Where the first wrong byte is, as far as that is known.
    at_byte BIGINT,
    problem TEXT NOT NULL,
    found BIGINT NOT NULL,
    PRIMARY KEY (scrub, holder, digest)
);

-- When a blob was found damaged or gone, NULL: as far as is known it is whole. One that is marked counts as not held.
ALTER TABLE blobs ADD COLUMN damaged BIGINT;
