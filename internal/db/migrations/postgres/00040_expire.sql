-- +goose Up
-- Licences that will come to their end, in that order, and an agency's that have. A licence whose status
-- is 'expired' was issued or suspended at its end.
CREATE INDEX licenses_due ON licenses (not_after) WHERE status IN ('issued', 'suspended');
CREATE INDEX licenses_expired_by_agency ON licenses (agency, id) WHERE status = 'expired';

-- +goose Down
DROP INDEX licenses_expired_by_agency;
DROP INDEX licenses_due;
