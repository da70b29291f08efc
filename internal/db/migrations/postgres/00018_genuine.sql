-- +goose Up
-- Files of what a stolen permit key signed before the theft. A bundle names one by its hash.
CREATE TABLE trust_genuine (
    key     TEXT NOT NULL, -- of the keyring
    since   BIGINT NOT NULL,
    hash    BYTEA NOT NULL,
    body    BYTEA NOT NULL,
    made_at BIGINT NOT NULL,
    PRIMARY KEY (key, since)
);
CREATE INDEX trust_genuine_hash ON trust_genuine (hash);

-- +goose Down
DROP TABLE trust_genuine;
