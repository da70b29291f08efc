-- +goose Up
-- version counts the changes to the three tables, so that replicas can keep them in memory, and its row
-- is what every change locks first. kek_check recognizes the key-encryption key; NULL until its first use.
CREATE TABLE keyring (
    one       BIGINT PRIMARY KEY CHECK (one = 1),
    version   BIGINT NOT NULL,
    kek_check BYTEA
);
INSERT INTO keyring (one, version) VALUES (1, 0);

-- In a file key, wrapped_key is the data key under the key-encryption key and private_key the PKCS#8 under
-- the data key; in a token key, wrapped_key is the public key's hash under the key-encryption key. Both bind
-- the row and end with the private half. Times are 0 until they happen; destroyed is that of the private half.
CREATE TABLE keys (
    id          TEXT COLLATE "C" PRIMARY KEY,
    purpose     TEXT NOT NULL,
    owner       TEXT NOT NULL,
    alg         TEXT NOT NULL,
    backend     TEXT NOT NULL CHECK (backend IN ('file', 'pkcs11')),
    state       TEXT NOT NULL CHECK (state IN ('staged', 'published', 'active', 'retiring', 'retired', 'compromised')),
    public_key  BYTEA NOT NULL UNIQUE,
    certificate BYTEA,
    wrapped_key BYTEA,
    private_key BYTEA,
    created     BIGINT NOT NULL,
    published   BIGINT NOT NULL DEFAULT 0,
    activated   BIGINT NOT NULL DEFAULT 0,
    retiring    BIGINT NOT NULL DEFAULT 0,
    retired     BIGINT NOT NULL DEFAULT 0,
    compromised BIGINT NOT NULL DEFAULT 0,
    destroyed   BIGINT NOT NULL DEFAULT 0,
    CHECK (state <> 'retired' OR (wrapped_key IS NULL AND private_key IS NULL)),
    CHECK (backend = 'file' OR private_key IS NULL)
);
CREATE UNIQUE INDEX keys_one_active ON keys (purpose, owner) WHERE state = 'active';
CREATE INDEX keys_by_owner ON keys (purpose, owner, state);

-- sealed is 32 random bytes under the key-encryption key.
CREATE TABLE key_secrets (
    name    TEXT PRIMARY KEY,
    sealed  BYTEA NOT NULL,
    created BIGINT NOT NULL
);

-- +goose Down
DROP TABLE key_secrets;
DROP TABLE keys;
DROP TABLE keyring;
