-- Water: what people declared, where each intake's account stands, its closings, what the rules found, the chain.

CREATE TABLE ledger (        -- what people and the agent declared; never updated, never deleted
  id      INTEGER PRIMARY KEY,
  kind    TEXT NOT NULL,     -- coefficient, replacement, decision, reading, acknowledgement, config, archive, frozen, head
  subject TEXT NOT NULL,     -- the meter, intake, coefficient, quarter … that it is about
  at_ms   INTEGER,           -- UTC ms from which it counts; NULL: it counts for no time
  body    TEXT NOT NULL,     -- JSON, keys sorted, no spaces
  who     TEXT NOT NULL,
  round   INTEGER NOT NULL,  -- the next number when it was entered; with boot and ms it gives the date
  boot    TEXT NOT NULL,
  ms      INTEGER NOT NULL   -- boot time
) STRICT;

CREATE TABLE account (       -- what derives an intake's water remembers, renewed every hour and at a clean stop
  intake  TEXT PRIMARY KEY,
  number  INTEGER NOT NULL,  -- the last round that it took in
  state   TEXT NOT NULL      -- JSON
) STRICT, WITHOUT ROWID;

CREATE TABLE closing (       -- where an intake stood at a full local hour; a later revision replaces, none is updated
  intake   TEXT NOT NULL,
  at_ms    INTEGER NOT NULL, -- the hour, UTC ms
  revision INTEGER NOT NULL,
  number   INTEGER NOT NULL, -- the last round taken in before it
  body     TEXT NOT NULL,    -- JSON: the readings around it
  state    TEXT,             -- at local midnight: the account then, as in account.state
  PRIMARY KEY (intake, at_ms, revision)
) STRICT, WITHOUT ROWID;

CREATE TABLE event (         -- what a quality rule found, from when to when
  id       INTEGER PRIMARY KEY,
  intake   TEXT NOT NULL,
  rule     TEXT NOT NULL,    -- R1 … R21
  version  TEXT NOT NULL,    -- of the rule
  subject  TEXT NOT NULL,    -- intake/NAME or meter/NAME
  quantity TEXT NOT NULL,    -- '' where it is about none
  began_ms INTEGER NOT NULL, -- UTC ms
  ended_ms INTEGER,          -- NULL: still open
  level    INTEGER NOT NULL, -- QARTOD 3, 4 or 9; 1: a notice
  first    INTEGER NOT NULL, -- the round that showed it first
  last     INTEGER NOT NULL, -- and last
  body     TEXT NOT NULL     -- JSON: evidence and the settings in force
) STRICT;

CREATE UNIQUE INDEX event_once ON event (intake, rule, subject, quantity, began_ms);

CREATE TABLE seal (          -- the chain: each hash is over the one before and everything stored since
  id     INTEGER PRIMARY KEY,
  first  INTEGER NOT NULL,   -- rounds first … last; last < first: none
  last   INTEGER NOT NULL,
  boot   INTEGER NOT NULL,   -- the highest id of each table that it covers
  era    INTEGER NOT NULL,
  layout INTEGER NOT NULL,
  ledger INTEGER NOT NULL,
  rounds TEXT NOT NULL,      -- SHA-256 over the digests of the rounds, hex: stands for them when they are deleted
  note   TEXT NOT NULL,      -- '', or after a salvage what was lost, JSON
  hash   TEXT NOT NULL,      -- SHA-256, hex; docs/reference/chain.en.md
  marks  BLOB NOT NULL       -- the first 4 bytes of each digest: says which row was changed, proves nothing
) STRICT;

CREATE TABLE proof (         -- digests of the rounds of a seal of which some were deleted
  seal    INTEGER PRIMARY KEY,
  digests BLOB NOT NULL      -- SHA-256 of each of first … last, 32 bytes each
) STRICT;

CREATE TABLE keep (          -- rounds that retention leaves alone
  first  INTEGER NOT NULL,
  last   INTEGER NOT NULL,
  reason TEXT NOT NULL,      -- frozen 2026Q3 well-3 …
  PRIMARY KEY (first, last, reason)
) STRICT, WITHOUT ROWID;
