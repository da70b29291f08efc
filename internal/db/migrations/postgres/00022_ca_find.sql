-- +goose Up
-- Which wish to revoke, hold or release an actor's idempotency key stands for: fulfilled once, whatever became
-- of the certificate afterwards.
CREATE TABLE ca_status_keys (
    actor       TEXT NOT NULL,
    request_key TEXT NOT NULL,
    serial      TEXT NOT NULL,
    act         TEXT NOT NULL, -- 'release', or 'revoke:' and the reason
    at          BIGINT NOT NULL,
    PRIMARY KEY (actor, request_key)
);

-- Certificates are found by name, by when they end, by profile and, where they are not simply good, by status.
-- name is the subject in the form in which it is sought; rows that have none yet get it soon, those of a program
-- that does not know this column too.
ALTER TABLE ca_certificates ADD COLUMN name TEXT COLLATE "C";
CREATE INDEX ca_certificates_name ON ca_certificates (name, serial);
CREATE INDEX ca_certificates_end ON ca_certificates (not_after, serial);
CREATE INDEX ca_certificates_profile ON ca_certificates (profile, serial);
CREATE INDEX ca_certificates_out ON ca_certificates (status, serial) WHERE status IN ('revoked', 'abandoned');

-- Every end of every name, so that any part of a name is the beginning of one. Names are few beside
-- certificates.
CREATE TABLE ca_name_parts (
    part TEXT NOT NULL COLLATE "C",
    name TEXT NOT NULL,
    PRIMARY KEY (part, name)
);

-- +goose Down
DROP TABLE ca_name_parts;
DROP INDEX ca_certificates_out;
DROP INDEX ca_certificates_profile;
DROP INDEX ca_certificates_end;
DROP INDEX ca_certificates_name;
ALTER TABLE ca_certificates DROP COLUMN name;
DROP TABLE ca_status_keys;
