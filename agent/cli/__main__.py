"""`python -m agent.cli`: the command line without the installed script."""

import sys

from agent.cli.main import main

sys.exit(main())
