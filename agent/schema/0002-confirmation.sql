-- Numbers that a person compared with a meter's display. Never updated, never deleted.

CREATE TABLE confirmation (
  id       INTEGER PRIMARY KEY,
  meter    TEXT NOT NULL,
  profile  TEXT NOT NULL,
  version  TEXT NOT NULL,     -- of the profile: another version needs another comparison
  quantity TEXT NOT NULL,
  shown    TEXT NOT NULL,     -- decimal text as typed from the display
  read     TEXT NOT NULL,     -- decimal text as read
  who      TEXT NOT NULL,
  round    INTEGER NOT NULL,  -- the next number then; with boot and ms it gives the date
  boot     TEXT NOT NULL,
  ms       INTEGER NOT NULL   -- boot time
) STRICT;
