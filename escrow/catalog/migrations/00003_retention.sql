-- Until when releases are kept, and the legal holds on them.

-- +goose Up

CREATE TABLE retentions (
    release TEXT PRIMARY KEY REFERENCES releases (name),
    years BIGINT NOT NULL,
    last_sealed BIGINT,
    last_reported BIGINT,
    last_read BIGINT,
    retain_until BIGINT NOT NULL,
    -- What the store was told of every file of the release: until when, and whether a hold stands.
    locked_until BIGINT,
    locked_hold BIGINT NOT NULL
);

CREATE TABLE holds (
    id TEXT PRIMARY KEY,
    release TEXT NOT NULL REFERENCES releases (name),
    reason TEXT NOT NULL,
    placed BIGINT NOT NULL,
    placed_by TEXT NOT NULL,
    placed_member TEXT NOT NULL,
    lifted BIGINT,
    lifted_by TEXT,
    lifted_member TEXT,
    lift_reason TEXT
);
CREATE INDEX holds_by_release ON holds (release, id);
CREATE INDEX holds_standing ON holds (release) WHERE lifted IS NULL;

-- Releases from before this: 1827 days are never less than five calendar years, and a day more ends on a midnight.
INSERT INTO retentions (release, years, last_sealed, retain_until, locked_hold)
SELECT e.release, 5, MAX(e.sealed), (MAX(e.time) / 86400000000 + 1828) * 86400000000, 0 FROM (
    SELECT name AS release, sealed, sealed AS time FROM releases WHERE state = 'SEALED'
    UNION ALL
    SELECT release, NULL, created FROM reports WHERE seq IS NOT NULL
    UNION ALL
    SELECT r.name, NULL, a.time FROM access_records a JOIN releases r ON substr(a.resource, 1, length(r.name) + 7) = r.name || '/files/'
    WHERE r.state = 'SEALED'
) e GROUP BY e.release;
