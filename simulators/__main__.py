"""`python -m simulators` is `qushui-sim`."""

from __future__ import annotations

import sys

from simulators.cli import main

sys.exit(main())
