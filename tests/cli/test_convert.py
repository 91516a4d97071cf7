"""`toolkit convert` and `toolkit publish` from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from torchvision.models import detection

from toolkit.cli import main
from toolkit.fileio.checkpoint import read_checkpoint


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result.output


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with random weights of torchvision's RetinaNet for two classes and background."""
    path = tmp_path_factory.mktemp("torchvision") / "retinanet.pth"
    model = detection.retinanet_resnet50_fpn(weights=None, weights_backbone=None, num_classes=3)
    torch.save(model.state_dict(), path)
    return path


def test_a_converted_checkpoint_knows_its_classes_and_can_be_published(weights: Path, tmp_path: Path) -> None:
    target = tmp_path / "ours.pth"
    output = run("convert", weights, target, "--classes", "cat, dog")
    assert "a retinanet of 2 classes" in output
    assert "configs/torchvision/retinanet_r50_fpn_coco.py" in output
    content = read_checkpoint(target)
    assert content["meta"]["dataset_meta"]["classes"] == ("cat", "dog")
    assert len(content["state_dict"]["bbox_head.retina_cls.bias"]) == 9 * 2
    run("publish", target, tmp_path / "out", "--metric", "AP=0.5", "--license", "mit")
    (published,) = (tmp_path / "out").glob("ours-*.safetensors")
    assert "| AP | 0.5 |" in (tmp_path / "out" / "README.md").read_text()
    assert read_checkpoint(published)["meta"]["dataset_meta"]["classes"] == ["cat", "dog"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--classes", "cat"), "1 names for 2 classes"),
        (("--labels", "one"), "--labels takes"),
        (("--labels", "1,9"), "labels 0 to 2"),
    ],
)
def test_what_does_not_fit_is_said(
    weights: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    assert message in run("convert", weights, tmp_path / "x.pth", *options, code=1)
    assert not (tmp_path / "x.pth").exists()


def test_a_metric_is_a_number(weights: Path, tmp_path: Path) -> None:
    assert "NAME=NUMBER" in run("publish", weights, tmp_path, "--metric", "AP=high", code=1)
