"""Predict from a checkout, without installing: `python tools/infer.py CHECKPOINT IMAGES`; see `--help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from toolkit.cli.infer import infer

if __name__ == "__main__":
    infer()
