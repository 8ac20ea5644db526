from __future__ import annotations

import sys

from tako.eval.command_line import cli

sys.exit(cli())
