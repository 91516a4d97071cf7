"""Evaluate from a checkout, without installing: `python tools/test.py CONFIG CHECKPOINT`; see `--help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from toolkit.cli.test import test

if __name__ == "__main__":
    test()
