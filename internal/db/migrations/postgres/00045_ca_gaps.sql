-- +goose Up
-- Who may take a hold back: '' is the city, which may take back any. Holds from before this column are the city's.
ALTER TABLE ca_certificates ADD COLUMN held_by TEXT NOT NULL DEFAULT ''; -- agency

-- From when on the key of a revoked certificate is not to be trusted, 0 for nothing said (RFC 5280 section 5.3.2).
ALTER TABLE ca_certificates ADD COLUMN invalid_from BIGINT NOT NULL DEFAULT 0;

-- A request that is to follow a certificate names it.
ALTER TABLE ca_requests ADD COLUMN renews TEXT NOT NULL DEFAULT '';

-- Certificates that follow one that was made for an order, and so end with the business licence as that one does.
CREATE TABLE ca_order_renewals (
    serial     TEXT COLLATE "C" PRIMARY KEY, -- in ca_certificates
    cert_order TEXT NOT NULL, -- id in ca_orders
    created_at BIGINT NOT NULL
);

-- Firms whose business licence was revoked lately.
CREATE INDEX licenses_revoked_by_type ON licenses (type, changed_at) WHERE status = 'revoked';

-- +goose Down
DROP INDEX licenses_revoked_by_type;
DROP TABLE ca_order_renewals;
ALTER TABLE ca_requests DROP COLUMN renews;
ALTER TABLE ca_certificates DROP COLUMN invalid_from;
ALTER TABLE ca_certificates DROP COLUMN held_by;
