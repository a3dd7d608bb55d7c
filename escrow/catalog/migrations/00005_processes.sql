-- What several processes on one catalog must know of each other.

-- +goose Up

-- The processes that work on jobs. One whose beats stand still has died.
CREATE TABLE processes (
    id TEXT PRIMARY KEY,
    host TEXT NOT NULL,
    roles TEXT NOT NULL,
    started BIGINT NOT NULL,
    seen BIGINT NOT NULL,
    beats BIGINT NOT NULL
);

-- Of the jobs that merge, those that wait to be started.
CREATE TABLE jobs_waiting (
    job TEXT PRIMARY KEY,
    times BIGINT NOT NULL
);
