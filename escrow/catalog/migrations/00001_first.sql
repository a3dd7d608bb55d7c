-- The one schema of both databases. Names are whole resource names; times are microseconds since 1970 UTC; booleans are
-- 0 and 1; JSON is TEXT. Lists are ordered by the bytes of the text, so that PostgreSQL needs the collation "C".

-- +goose Up

-- Numbers that grow within a scope; see Tx.count.
CREATE TABLE counters (
    name TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);

CREATE TABLE organizations (
    name TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    country TEXT NOT NULL,
    display_name TEXT NOT NULL,
    created BIGINT NOT NULL
);

CREATE TABLE enrolment_tokens (
    hash TEXT PRIMARY KEY,
    organization TEXT NOT NULL REFERENCES organizations (name),
    member TEXT NOT NULL,
    expires BIGINT NOT NULL,
    used BIGINT
);

CREATE TABLE certificates (
    serial TEXT PRIMARY KEY,
    organization TEXT NOT NULL REFERENCES organizations (name),
    member TEXT NOT NULL,
    not_after BIGINT NOT NULL,
    revoked BIGINT
);

CREATE TABLE products (
    name TEXT PRIMARY KEY,
    vendor TEXT NOT NULL REFERENCES organizations (name),
    display_name TEXT NOT NULL,
    created BIGINT NOT NULL
);
CREATE INDEX products_by_vendor ON products (vendor, name);

CREATE TABLE trust_anchors (
    id TEXT PRIMARY KEY,
    organization TEXT NOT NULL REFERENCES organizations (name),
    purpose TEXT NOT NULL,
    product TEXT REFERENCES products (name),
    public_key_pem TEXT NOT NULL,
    key_id TEXT NOT NULL,
    valid_from BIGINT,
    valid_until BIGINT,
    revoked BIGINT,
    created BIGINT NOT NULL
);
CREATE INDEX trust_anchors_by_organization ON trust_anchors (organization, id);

CREATE TABLE blobs (
    holder TEXT NOT NULL REFERENCES organizations (name),
    digest TEXT NOT NULL,
    size BIGINT NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (holder, digest)
);

CREATE TABLE environments (
    vendor TEXT NOT NULL REFERENCES organizations (name),
    image TEXT NOT NULL,
    display_name TEXT NOT NULL,
    platform TEXT NOT NULL,
    blobs TEXT NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (vendor, image)
);

CREATE TABLE releases (
    name TEXT PRIMARY KEY,
    product TEXT NOT NULL REFERENCES products (name),
    version TEXT NOT NULL,
    state TEXT NOT NULL,
    manifest_digest TEXT,
    manifest BYTEA,
    signatures TEXT,
    receipt_id TEXT,
    request_id TEXT,
    created BIGINT NOT NULL,
    sealed BIGINT,
    checks_complete BIGINT NOT NULL,
    UNIQUE (product, version)
);

CREATE TABLE release_files (
    release TEXT NOT NULL REFERENCES releases (name),
    digest TEXT NOT NULL,
    size BIGINT NOT NULL,
    role TEXT NOT NULL,
    path TEXT NOT NULL,
    PRIMARY KEY (release, role, path, digest)
);
CREATE INDEX release_files_by_digest ON release_files (digest, release);

CREATE TABLE release_events (
    release TEXT NOT NULL REFERENCES releases (name),
    seq BIGINT NOT NULL,
    finding_id TEXT,
    created BIGINT NOT NULL,
    PRIMARY KEY (release, seq)
);

CREATE TABLE findings (
    id TEXT PRIMARY KEY,
    release TEXT NOT NULL REFERENCES releases (name),
    seq BIGINT NOT NULL,
    finding TEXT NOT NULL,
    check_name TEXT NOT NULL,
    outcome TEXT NOT NULL,
    verdict TEXT NOT NULL,
    artifact TEXT NOT NULL,
    rebuilder TEXT,
    attestation_id TEXT NOT NULL,
    created BIGINT NOT NULL,
    UNIQUE (release, seq)
);

CREATE TABLE rebuilds (
    id TEXT PRIMARY KEY,
    release TEXT NOT NULL REFERENCES releases (name),
    rebuilder TEXT NOT NULL REFERENCES organizations (name),
    state TEXT NOT NULL,
    lease_token BIGINT NOT NULL,
    lease_until BIGINT,
    attempts BIGINT NOT NULL,
    platform TEXT NOT NULL,
    created BIGINT NOT NULL,
    UNIQUE (release, rebuilder)
);
CREATE INDEX rebuilds_by_rebuilder ON rebuilds (rebuilder, id);

CREATE TABLE attestations (
    id TEXT PRIMARY KEY,
    release TEXT NOT NULL REFERENCES releases (name),
    owner TEXT NOT NULL REFERENCES organizations (name),
    audience TEXT REFERENCES organizations (name),
    signer TEXT NOT NULL REFERENCES organizations (name),
    public_key_pem TEXT NOT NULL,
    predicate_type TEXT NOT NULL,
    subjects TEXT NOT NULL,
    envelope BYTEA NOT NULL,
    stamp BYTEA,
    bundle BYTEA,
    state TEXT NOT NULL,
    log_index BIGINT UNIQUE,
    leaf_hash TEXT,
    created BIGINT NOT NULL
);
CREATE INDEX attestations_by_release ON attestations (release, id);
CREATE INDEX attestations_pending ON attestations (id) WHERE state = 'PENDING';

CREATE TABLE attestation_subjects (
    digest TEXT NOT NULL,
    attestation_id TEXT NOT NULL REFERENCES attestations (id),
    PRIMARY KEY (digest, attestation_id)
);

CREATE TABLE policies (
    organization TEXT NOT NULL REFERENCES organizations (name),
    version BIGINT NOT NULL,
    source TEXT NOT NULL,
    digest TEXT NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (organization, version)
);

CREATE TABLE reports (
    attestation_id TEXT PRIMARY KEY,
    -- The order in which reports on a release were made, and the order in which those of an evaluator became visible.
    made BIGINT NOT NULL,
    seq BIGINT,
    evaluator TEXT NOT NULL REFERENCES organizations (name),
    release TEXT NOT NULL REFERENCES releases (name),
    policy_version BIGINT NOT NULL,
    policy_digest TEXT,
    decision TEXT NOT NULL,
    rules TEXT NOT NULL,
    content_digest TEXT,
    superseded BIGINT NOT NULL,
    created BIGINT NOT NULL,
    UNIQUE (evaluator, seq),
    UNIQUE (evaluator, release, made)
);

CREATE TABLE grants (
    id TEXT PRIMARY KEY,
    vendor TEXT NOT NULL REFERENCES organizations (name),
    grantee TEXT NOT NULL REFERENCES organizations (name),
    product TEXT NOT NULL REFERENCES products (name),
    valid_from BIGINT NOT NULL,
    valid_until BIGINT NOT NULL,
    revoked BIGINT,
    created BIGINT NOT NULL
);
CREATE INDEX grants_by_product ON grants (product, grantee);
CREATE INDEX grants_by_vendor ON grants (vendor, id);
CREATE INDEX grants_by_grantee ON grants (grantee, id);

CREATE TABLE access_records (
    vendor TEXT NOT NULL REFERENCES organizations (name),
    seq BIGINT NOT NULL,
    reader TEXT NOT NULL,
    member TEXT NOT NULL,
    resource TEXT NOT NULL,
    grant_id TEXT,
    bytes BIGINT NOT NULL,
    time BIGINT NOT NULL,
    PRIMARY KEY (vendor, seq)
);

CREATE TABLE requests (
    organization TEXT NOT NULL REFERENCES organizations (name),
    method TEXT NOT NULL,
    request_id TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    resource TEXT NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (organization, method, request_id)
);
