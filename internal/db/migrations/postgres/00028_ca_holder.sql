-- +goose Up
-- Whom a firm's or a person's certificate is about: 'firm:USCC' or 'person:ID'; '' for agencies and the
-- city's own.
ALTER TABLE ca_certificates ADD COLUMN holder TEXT NOT NULL DEFAULT '';
CREATE INDEX ca_certificates_holder ON ca_certificates (holder, serial) WHERE holder <> '';

-- +goose Down
DROP INDEX ca_certificates_holder;
ALTER TABLE ca_certificates DROP COLUMN holder;
