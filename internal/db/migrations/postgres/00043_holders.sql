-- +goose Up
-- A holder's licences in the order of their ids, so that one with very many is read a page at a time. The
-- previous binary reads this index as it read the one that goes.
CREATE INDEX licenses_by_holder ON licenses (holder, holder_kind, id);
DROP INDEX licenses_holder;

-- +goose Down
CREATE INDEX licenses_holder ON licenses (holder, holder_kind);
DROP INDEX licenses_by_holder;
