from __future__ import annotations

import sys

from tako.eval.cli import cli

sys.exit(cli())
