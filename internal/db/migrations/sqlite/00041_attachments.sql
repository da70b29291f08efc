-- +goose Up
-- What was attached to applications, cleaned of what is not the document. The name that a file had is not kept.
CREATE TABLE license_attachments (
    id           TEXT PRIMARY KEY,
    application  TEXT NOT NULL,
    slot         TEXT NOT NULL, -- of the licence type
    kind         TEXT NOT NULL, -- pdf, jpeg, png
    size         INTEGER NOT NULL, -- bytes
    body         BLOB NOT NULL, -- sealed
    author       TEXT NOT NULL, -- agency, holder
    person       TEXT NOT NULL,
    request_key  TEXT NOT NULL, -- of the person's form
    request_hash BLOB NOT NULL, -- keyed hash of slot and file
    at           INTEGER NOT NULL,
    UNIQUE (application, person, request_key)
) STRICT;
CREATE INDEX license_attachments_application ON license_attachments (application, id);

-- +goose Down
DROP TABLE license_attachments;
