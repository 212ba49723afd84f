-- The ledger, the request log and the books: append-only, in the order in which they became durable.
-- `kind` is for people who inspect the file; `json` is the record; `blob` its large part, if it has one.
CREATE TABLE record (
    seq  INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    json TEXT NOT NULL,
    blob BLOB
) STRICT;

CREATE TRIGGER record_is_append_only_update BEFORE UPDATE ON record
BEGIN SELECT RAISE(ABORT, 'records are append-only'); END;

CREATE TRIGGER record_is_append_only_delete BEFORE DELETE ON record
BEGIN SELECT RAISE(ABORT, 'records are append-only'); END;
