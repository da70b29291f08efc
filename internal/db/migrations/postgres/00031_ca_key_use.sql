-- +goose Up
-- Whose a key is, and what for, is found at the first row that says otherwise, and a key that is
-- compromised or held at once, however many certificates it has.
CREATE INDEX ca_certificates_key_use ON ca_certificates (key_hash, agency, holder, profile);
CREATE INDEX ca_certificates_key_revoked ON ca_certificates (key_hash, reason) WHERE status = 'revoked';
DROP INDEX ca_certificates_key;

-- +goose Down
CREATE INDEX ca_certificates_key ON ca_certificates (key_hash);
DROP INDEX ca_certificates_key_revoked;
DROP INDEX ca_certificates_key_use;
