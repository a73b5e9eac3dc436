-- Reports for platforms that take composed reports (SL 651, SZY206): one row each, from composing to acknowledgement.

CREATE TABLE outbox (
  id       INTEGER PRIMARY KEY,
  uplink   TEXT NOT NULL,
  kind     TEXT NOT NULL,        -- timed, hourly, uniform, additional, test, manual
  slot_ms  INTEGER NOT NULL,     -- UTC ms
  variant  TEXT NOT NULL,        -- '' or what tells several of a kind and slot apart: the trigger of an additional one
  serial   INTEGER NOT NULL,     -- its number at the platform, the same in every repeat
  body     TEXT NOT NULL,        -- its content, JSON
  state    TEXT NOT NULL,        -- waiting, accepted, parked
  reason   TEXT NOT NULL,        -- of a parked one
  tries    INTEGER NOT NULL,     -- connections on which it was sent
  done_ms  INTEGER,              -- UTC ms of the acknowledgement, NULL before
  UNIQUE (uplink, kind, slot_ms, variant)
) STRICT;

CREATE INDEX outbox_state ON outbox (uplink, state, slot_ms);

CREATE TABLE composing (         -- how far reports of an uplink are composed; moves in the transaction of their rows
  uplink  TEXT PRIMARY KEY,
  number  INTEGER NOT NULL,      -- rounds up to it are in reports, as far as their slots are over
  slot_ms INTEGER NOT NULL,      -- the last slot composed, UTC ms; 0: none
  serial  INTEGER NOT NULL       -- the last one given
) STRICT, WITHOUT ROWID;
