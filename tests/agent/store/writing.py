"""A process that writes rounds until it is killed: `python -m tests.agent.store.writing FILE [ROUNDS [PAUSE_S]]`.

Round n holds n in hundredths. Prints a line for each commit (`committed N`) and each fault (`fault.raised CODE`); with
ROUNDS it ends by itself, says how long `append` took at most, and lists what is open then.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

from agent.clock import SystemClock
from agent.store import cursors
from agent.store.store import Store
from tests.agent.store.conftest import ROOMY, round_of

_BURST, _PAUSE_S = 20, 0.02  # long enough for a commit


class Said:
    """A log that prints the edges of faults."""

    def _take(self, event: str, **keys: object) -> None:
        if event.startswith("fault."):
            say(event, keys["code"])

    debug = info = warning = error = _take


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def main() -> None:
    path, rounds = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else sys.maxsize
    pause_s = float(sys.argv[3]) if len(sys.argv) > 3 else 0.0005
    clock = SystemClock("host")
    store = Store(path, clock=clock, log=Said(), **ROOMY)
    store.open()
    store.date_boot(clock.offset_ms, "host")
    owed = store.begin_cursor("cloud")
    say("open", store.committed)
    stop = threading.Event()
    worker = threading.Thread(target=store.run, args=(stop, lambda: None))
    worker.start()
    longest_s, said = 0.0, store.committed
    for number in range(rounds):
        began_s = time.monotonic()
        store.append(round_of(store._waiting.next, boot_ms=clock.boot_ms()))
        longest_s = max(longest_s, time.monotonic() - began_s)
        if store.committed != said:
            said = store.committed
            owed = store.keep_cursor("cloud", cursors.subtract(owed, 1, said))
            say("committed", said)
        time.sleep(pause_s if number % _BURST else _PAUSE_S)
    stop.set()
    worker.join()
    store.close()
    say("longest_s", round(longest_s, 4))
    say("end", store.committed, *(fault.code for fault in store.faults.open()))


if __name__ == "__main__":
    main()
