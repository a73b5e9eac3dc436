-- Rounds, their dates, the uplinks' queues, faults. Rows of round, layout, boot, era and epoch are never updated.

CREATE TABLE meta (          -- what changes only when rows are deleted
  name  TEXT PRIMARY KEY,    -- deleted: numbers no longer here, JSON [[first, last], …]; evicted: how many of them unsent
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE epoch (         -- a round's id is EPOCH-NUMBER, EPOCH being that of the last row with first <= number
  first INTEGER PRIMARY KEY,
  epoch TEXT NOT NULL        -- 8 hex digits, drawn when a file is created; salvaged rounds keep theirs
) STRICT;

CREATE TABLE boot (          -- from round `first` on, boot_ms counts from the start of this boot
  id      INTEGER PRIMARY KEY,
  first   INTEGER NOT NULL,
  boot_id TEXT NOT NULL      -- /proc/sys/kernel/random/boot_id
) STRICT;

CREATE TABLE era (           -- from round `first` on, within this boot: UTC ms since 1970 = boot_ms + offset_ms
  id          INTEGER PRIMARY KEY,  -- of two with the same first the newer holds
  first       INTEGER NOT NULL,
  boot_id     TEXT NOT NULL,
  offset_ms   INTEGER NOT NULL,
  source      TEXT NOT NULL,        -- ntp, rtc, host, manual or a platform's name
  set_boot_ms INTEGER NOT NULL      -- when it was learned
) STRICT;

CREATE TABLE layout (        -- what the values of a round mean
  id         INTEGER PRIMARY KEY,
  meter      TEXT NOT NULL,
  profile    TEXT NOT NULL,
  version    TEXT NOT NULL,
  protocol   TEXT NOT NULL,
  address    TEXT NOT NULL,
  quantities TEXT NOT NULL,  -- comma-separated, the order of the values
  flags      TEXT NOT NULL,  -- comma-separated, the bits of a status value, lowest first
  period_ms  INTEGER NOT NULL,
  requests   BLOB NOT NULL   -- each behind its length (LEB128)
) STRICT;

CREATE TABLE round (
  number  INTEGER PRIMARY KEY,  -- given by the agent, without gaps, never twice
  layout  INTEGER NOT NULL,
  boot_ms INTEGER NOT NULL,
  body    BLOB NOT NULL,        -- hex(body): digits, C comma, D decimal point, B minus, A absent, F fill
  quality TEXT,                 -- NULL: all GOOD; else REASON[+REASON]:POSITION[,POSITION] or :*, joined by ;
  raw     BLOB NOT NULL         -- the replies, in the order of layout.requests, each behind its length (LEB128)
) STRICT;

CREATE TABLE uplink (        -- per platform the numbers it has not acknowledged
  name   TEXT PRIMARY KEY,
  ranges TEXT NOT NULL,      -- JSON [[first, last], …, [first, null]]
  since  INTEGER NOT NULL    -- the number it began with
) STRICT, WITHOUT ROWID;

CREATE TABLE parked (        -- numbers a platform refused for good
  uplink TEXT NOT NULL,
  number INTEGER NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (uplink, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE fault (
  id          INTEGER PRIMARY KEY,
  code        TEXT NOT NULL,
  place       TEXT NOT NULL,
  evidence    TEXT NOT NULL,     -- JSON object
  count       INTEGER NOT NULL,  -- renewed at most once a minute
  began_round INTEGER NOT NULL,  -- the next number then; with boot and ms it gives the date
  began_boot  TEXT NOT NULL,
  began_ms    INTEGER NOT NULL,  -- boot time
  ended_round INTEGER,           -- NULL: still open
  ended_boot  TEXT,
  ended_ms    INTEGER
) STRICT;

CREATE TABLE counter (       -- the last good counters of each meter, renewed every hour and at a clean stop
  meter  TEXT PRIMARY KEY,
  number INTEGER NOT NULL,   -- rounds above it are not yet in texts
  texts  TEXT NOT NULL       -- JSON object: quantity to decimal text
) STRICT, WITHOUT ROWID;
