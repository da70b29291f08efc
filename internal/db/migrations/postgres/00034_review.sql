-- +goose Up
-- The first of two reviews, where the type of the licence asks for two: who agreed, and when. round counts
-- how often the second reviewer sent an application back to the first, returner is who did so last.
ALTER TABLE license_applications ADD COLUMN reviewer TEXT NOT NULL DEFAULT ''; -- person
ALTER TABLE license_applications ADD COLUMN reviewed_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE license_applications ADD COLUMN returner TEXT NOT NULL DEFAULT ''; -- person
ALTER TABLE license_applications ADD COLUMN round BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE license_applications DROP COLUMN round;
ALTER TABLE license_applications DROP COLUMN returner;
ALTER TABLE license_applications DROP COLUMN reviewed_at;
ALTER TABLE license_applications DROP COLUMN reviewer;
