-- Who consented to what, and when that changed: append-only, one row a change. `seq` is the version of the whole, `version`
-- that of one unit's consent; the newest row of a unit holds. A unit is a keyed hash, so the file names nobody.
CREATE TABLE change (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    population TEXT NOT NULL,
    unit       BLOB NOT NULL,
    version    INTEGER NOT NULL,
    status     TEXT NOT NULL CHECK (status IN ('given', 'withdrawn')),
    purposes   TEXT NOT NULL,    -- JSON list; empty after a withdrawal
    from_ms    INTEGER NOT NULL,
    until_ms   INTEGER NOT NULL, -- no longer in force at this instant
    changed_ms INTEGER NOT NULL,
    salt       BLOB NOT NULL     -- of this row's leaf in published roots; erased together with the row
) STRICT;

CREATE UNIQUE INDEX change_of_unit ON change (population, unit, version);

-- Rows may be deleted, to honour a subject's erasure; they are never rewritten.
CREATE TRIGGER change_is_append_only BEFORE UPDATE ON change
BEGIN SELECT RAISE(ABORT, 'changes of consent are append-only'); END;

-- What left this machine, and the salt that was mixed into every leaf of that root.
CREATE TABLE publication (
    population TEXT NOT NULL,
    number     INTEGER NOT NULL,
    at_ms      INTEGER NOT NULL,
    salt       BLOB NOT NULL,
    root       BLOB NOT NULL,
    PRIMARY KEY (population, number)
) STRICT;
