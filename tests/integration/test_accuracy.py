"""The shipped configs for small data reach what docs/results.md says. Minutes each: `pytest -m long`."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.config import Config
from toolkit.runner import Runner

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"


@pytest.mark.long
@pytest.mark.parametrize(
    ("config", "data", "metric", "least"),
    [
        ("quickstart/faster-rcnn_r18_fpn_shapes.py", None, "pascal_voc/AP50", 0.80),
        ("quickstart/resnet_shapes.py", None, "accuracy/top1", 90.0),
        ("bccd/faster-rcnn_r18_fpn_bccd.py", "BCCD", "pascal_voc/AP50", 0.86),
        ("nuclei/mask-rcnn_r18_fpn_nuclei.py", "nuclei", "coco/segm_mAP_50", 0.65),
        ("cifar/resnet_cifar10-mini.py", "cifar10-mini", "accuracy/top1", 55.0),
    ],
)
def test_accuracy(config: str, data: str | None, metric: str, least: float, tmp_path: Path) -> None:
    overrides = {"work_dir": str(tmp_path)}
    if data is not None:
        if not (DATA / data).is_dir():
            pytest.skip(f"the dataset {data} is not at {DATA / data}")
        overrides["data_root"] = f"{DATA / data}/"
    runner = Runner.from_cfg(Config.fromfile(ROOT / "configs" / config, overrides=overrides))
    runner.train()
    assert runner.test()[metric] >= least
