-- +goose Up
-- An agency's revoked or suspended licences, each state and type by itself: without the state, PostgreSQL rather
-- read all that are listed in the city.
CREATE INDEX licenses_listed_by_state ON licenses (agency, status, type, id) WHERE status IN ('revoked', 'suspended');
DROP INDEX licenses_listed_by_agency;

-- +goose Down
CREATE INDEX licenses_listed_by_agency ON licenses (agency, id) WHERE status IN ('revoked', 'suspended');
DROP INDEX licenses_listed_by_state;
