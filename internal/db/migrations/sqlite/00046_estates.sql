-- +goose Up
-- Which agency's clerk decided on what another one was asked for, whose place it had taken; '' where that
-- is the agency that was asked.
ALTER TABLE license_applications ADD COLUMN office TEXT NOT NULL DEFAULT '';
ALTER TABLE license_foundings ADD COLUMN office TEXT NOT NULL DEFAULT '';

-- Applications, and licences that have come to their end, by agency and type: an agency may have taken
-- another's place for one type alone. The previous binary reads these indexes, and sorts what it reads.
CREATE INDEX license_applications_waiting ON license_applications (agency, type, state, id);
DROP INDEX license_applications_queue;
CREATE INDEX licenses_expired_by_type ON licenses (agency, type, id) WHERE status = 'expired';
DROP INDEX licenses_expired_by_agency;

-- +goose Down
CREATE INDEX licenses_expired_by_agency ON licenses (agency, id) WHERE status = 'expired';
DROP INDEX licenses_expired_by_type;
CREATE INDEX license_applications_queue ON license_applications (agency, state, id);
DROP INDEX license_applications_waiting;
ALTER TABLE license_foundings DROP COLUMN office;
ALTER TABLE license_applications DROP COLUMN office;
