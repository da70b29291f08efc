-- +goose Up
-- Names of firms that were founded here, folded: each once. Firms that were registered otherwise bear the
-- names that they have, also one that stands here.
CREATE TABLE registry_firm_names (
    name TEXT PRIMARY KEY,
    firm TEXT NOT NULL -- USCC
) STRICT;
CREATE INDEX registry_firms_name ON registry_firms (name);

-- Certificates that were ordered for firms, each decided on already: whoever acts for the firm brings a
-- certificate request.
CREATE TABLE ca_orders (
    id         TEXT PRIMARY KEY,
    firm       TEXT NOT NULL, -- USCC
    actor      TEXT NOT NULL, -- who ordered it
    request    TEXT NOT NULL DEFAULT '', -- in ca_requests, the newest that was brought
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;
CREATE INDEX ca_orders_firm ON ca_orders (firm, id);

-- Applications for new firms. A founded one names what came of it.
CREATE TABLE license_foundings (
    id           TEXT PRIMARY KEY,
    agency       TEXT NOT NULL, -- that registers firms
    person       TEXT NOT NULL, -- the legal representative, id in the registry
    submitter    TEXT NOT NULL, -- actor
    client       TEXT NOT NULL, -- within which request_key is unique
    request_key  TEXT NOT NULL,
    request_hash BLOB NOT NULL,
    body         BLOB NOT NULL, -- sealed
    state        TEXT NOT NULL CHECK (state IN ('submitted', 'founded', 'rejected', 'withdrawn')),
    decider      TEXT NOT NULL DEFAULT '', -- actor
    note         BLOB, -- sealed: why it was rejected
    firm         TEXT NOT NULL DEFAULT '', -- USCC
    license      TEXT NOT NULL DEFAULT '', -- id
    cert_order   TEXT NOT NULL DEFAULT '', -- id in ca_orders
    created_at   INTEGER NOT NULL,
    decided_at   INTEGER NOT NULL DEFAULT 0,
    changed_at   INTEGER NOT NULL,
    UNIQUE (client, request_key)
) STRICT;
CREATE INDEX license_foundings_agency ON license_foundings (agency, state, id);
CREATE INDEX license_foundings_person ON license_foundings (person, id);

-- +goose Down
DROP TABLE license_foundings;
DROP TABLE ca_orders;
DROP INDEX registry_firms_name;
DROP TABLE registry_firm_names;
