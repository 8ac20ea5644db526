from __future__ import annotations

import sys

from tako.training.command_line import cli

sys.exit(cli())
