"""Train from a checkout, without installing: `python tools/train.py CONFIG`; see `--help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from toolkit.cli.train import train

if __name__ == "__main__":
    train()
