"""`qushui` on a machine whose kernel was never synchronised, whatever this machine's kernel says. For tests only."""

import sys

import agent.clock
from agent.cli.main import main

agent.clock.kernel_is_synchronised = lambda: False
sys.exit(main())
