-- +goose Up
-- What a witness (name+hash of its key) signed under the checkpoint of a size: one line of a signed note.
CREATE TABLE audit_cosignatures (
    size    BIGINT NOT NULL,
    witness TEXT COLLATE "C" NOT NULL,
    line    TEXT NOT NULL,
    at      BIGINT NOT NULL,
    PRIMARY KEY (size, witness)
);
CREATE INDEX audit_cosignatures_by_witness ON audit_cosignatures (witness, size);

-- Events whose content is to go, and the event that says so. done is 0 until that one is sealed and the
-- content gone.
CREATE TABLE audit_erasures (
    event   TEXT COLLATE "C" PRIMARY KEY,
    ordered TEXT COLLATE "C" NOT NULL,
    done    BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX audit_erasures_open ON audit_erasures (event) WHERE done = 0;

-- +goose Down
DROP TABLE audit_erasures;
DROP TABLE audit_cosignatures;
