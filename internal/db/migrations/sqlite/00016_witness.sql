-- +goose Up
-- What a witness (name+hash of its key) signed under the checkpoint of a size: one line of a signed note.
CREATE TABLE audit_cosignatures (
    size    INTEGER NOT NULL,
    witness TEXT NOT NULL,
    line    TEXT NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (size, witness)
) STRICT;
CREATE INDEX audit_cosignatures_by_witness ON audit_cosignatures (witness, size);

-- Events whose content is to go, and the event that says so. done is 0 until that one is sealed and the
-- content gone.
CREATE TABLE audit_erasures (
    event   TEXT PRIMARY KEY,
    ordered TEXT NOT NULL,
    done    INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX audit_erasures_open ON audit_erasures (event) WHERE done = 0;

-- +goose Down
DROP TABLE audit_erasures;
DROP TABLE audit_cosignatures;
