-- +goose Up
-- paused is when the key was paused, 0 while it is not; since is from when on a compromised key is not believed.
ALTER TABLE keys ADD COLUMN paused BIGINT NOT NULL DEFAULT 0;
ALTER TABLE keys ADD COLUMN since BIGINT NOT NULL DEFAULT 0;

-- Who of several replicas does a work, and until when others leave it to it.
CREATE TABLE leases (
    name   TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    until  BIGINT NOT NULL
);

-- +goose Down
DROP TABLE leases;
ALTER TABLE keys DROP COLUMN since;
ALTER TABLE keys DROP COLUMN paused;
