"""Which of MMDetection's own configs run here: writes the table `docs/zoo.md`.

The configs come out of the `mmdet` wheel, which is downloaded once into `work_dirs/zoo` (or given by
`--wheel`, or as a folder by `--configs`). Of each it is found out whether it

- loads, with all its bases;
- builds its model;
- trains: one step (loss, gradients, optimizer) on two generated pictures of about 128 pixels with boxes,
  labels, masks, semantic maps and proposals, through the model's own data preprocessor, and everything else
  that training needs (datasets, pipelines, hooks, schedules) passes the checks made before a run, but for
  the data's files;
- predicts on the same pictures, and all that a test needs passes the checks.

Pretrained weights are left out. Each model runs in a process of its own with limits of time and memory; equal
models run once. Outcomes are remembered in `work_dirs/zoo/trials.json` by model and code, so that a second
call only runs what is new; `work_dirs/zoo/report.json` says everything about each config.

    python tools/zoo_report.py [--family retinanet ...] [--jobs 2] [--failures] [--out docs/zoo.md]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
import warnings
from datetime import date
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[0]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
import torchvision
from zoo.page import page, reasons
from zoo.survey import BASE_FAMILY, Limits, Memory, Row, code_digest, survey
from zoo.wheel import VERSION, find_configs

import toolkit.detection.models  # noqa: F401  the children of this process find it imported
from toolkit.version import __version__

ROOT = Path(__file__).resolve().parents[1]


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=ROOT / "work_dirs" / "zoo", help="for its files")
    parser.add_argument("--wheel", type=Path, help="a wheel of mmdet that is there already")
    parser.add_argument("--configs", type=Path, help="a folder of configs instead of a wheel's")
    parser.add_argument("--family", nargs="+", default=[], help="only configs of these folders")
    parser.add_argument("--jobs", type=int, default=1, help="models tried at a time")
    parser.add_argument("--timeout", type=float, default=180.0, help="seconds a model")
    parser.add_argument("--memory", type=float, default=16.0, help="GiB of address space a model")
    parser.add_argument(
        "--keep-passed",
        action="store_true",
        help="don't try again what succeeded with older code; no page is written unless --out is given",
    )
    parser.add_argument("--failures", action="store_true", help="list each config that fails, and why")
    parser.add_argument("--out", type=Path, help="the page (default: docs/zoo.md in a survey of everything)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Survey, print a summary, write the page."""
    args = parse_args(argv)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    start = time.monotonic()
    root = find_configs(args.folder, args.wheel, args.configs)
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.py"))
    if args.family:
        names = [name for name in names if name.partition("/")[0] in args.family]
    memory = Memory(args.folder / "trials.json", code_digest(), args.keep_passed)
    rows = survey(root, names, memory, Limits(args.jobs, args.timeout, args.memory), _tell)
    if args.failures:
        for row in rows:
            if not row.complete and row.family != BASE_FAMILY:
                print(f"{row.config}: {row.reason}")
    print("\nMost often lacking first:")
    for text, count in reasons(rows).most_common(40):
        print(f"{count:5d} {text}")
    print(f"\n{sum(row.complete for row in rows)} of {len(rows)} configs do all four.")
    report = {row.config: {**row.steps, "lacking": row.lacking, "reason": row.reason} for row in rows}
    (args.folder / "report.json").write_text(json.dumps(report, indent=1))
    out = args.out or (None if args.family or args.keep_passed or args.configs else ROOT / "docs" / "zoo.md")
    if out is not None:
        out.write_text(page(rows, _heading(time.monotonic() - start, args.keep_passed)))
        print(f"Written: {out}")


def _tell(number: int, total: int, row: Row) -> None:
    state = "ok" if row.complete else row.reason
    print(f"[{number}/{total}] {row.config} {row.seconds:.1f}s {state}", flush=True)


def _heading(seconds: float, keep_passed: bool) -> str:
    versions = (
        f"toolkit {__version__}, torch {torch.__version__.partition('+')[0]}, torchvision "
        f"{torchvision.__version__.partition('+')[0]} and Python {platform.python_version()}"
    )
    return (
        f"Made by `tools/zoo_report.py` on {date.today():%Y-%m-%d} in {seconds / 60:.1f} min with "
        f"{versions}, from the configs of the `mmdet` {VERSION} wheel.\n\n"
        "A config *trains* if its model takes one training step on generated pictures and everything else "
        "that training needs (datasets, pipelines, hooks, schedules, optimizer) passes the checks made "
        "before a run; it *predicts* likewise. Pretrained weights are left out; pictures have about 128 "
        "pixels a side, or the size that a model demands."
        + (" What had passed with older code was not tried again." if keep_passed else "")
    )


if __name__ == "__main__":
    main()
