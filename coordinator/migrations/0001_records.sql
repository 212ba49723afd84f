-- Everything durable, in the order in which it became true. Rows are added and never changed.
CREATE TABLE record (
    seq  INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    json TEXT NOT NULL,
    blob BLOB
) STRICT;

CREATE TRIGGER record_keeps_its_rows BEFORE DELETE ON record BEGIN
    SELECT RAISE(ABORT, 'records are never deleted');
END;

CREATE TRIGGER record_keeps_its_words BEFORE UPDATE ON record BEGIN
    SELECT RAISE(ABORT, 'records are never changed');
END;
