"""The three commands one after the other, on a tiny VOC folder and on embedded shapes."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from click.testing import CliRunner

from toolkit.cli import main

Run = Callable[..., str]


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result.output


@pytest.fixture
def trained(config: Path, tmp_path: Path) -> Path:
    """The work directory of a short training."""
    run("train", config, "--seed", 0)
    return tmp_path / "work"


def test_a_work_dir_is_tested_and_inferred_with(
    trained: Path, config: Path, voc: Path, tmp_path: Path
) -> None:
    run("test", config, trained, "--out", tmp_path / "results.pkl")
    run("infer", trained, voc / "JPEGImages", "--out-dir", tmp_path / "out", "--score-thr", 0)

    tested = pickle.loads((tmp_path / "results.pkl").read_bytes())
    inferred = json.loads((tmp_path / "out/predictions.json").read_text())
    assert inferred["classes"] == ["cat", "dog"]
    assert [Path(image["file"]).name for image in inferred["images"]] == [
        f"picture_{number}.jpg" for number in range(4)
    ]
    for one, other in zip(tested, inferred["images"], strict=True):
        assert (other["height"], other["width"]) == (48, 64)
        assert other["scores"] == sorted(other["scores"], reverse=True)
        assert len(other["scores"]) == len(one["pred_instances"]["scores"])
        best = one["pred_instances"]["scores"].argmax()
        assert other["scores"][0] == pytest.approx(float(one["pred_instances"]["scores"][best]), abs=2e-5)
        assert other["boxes"][0] == pytest.approx(one["pred_instances"]["bboxes"][best].tolist(), abs=0.02)
        label = int(one["pred_instances"]["labels"][best])
        assert other["labels"][0] == inferred["classes"][label]
        assert cv2.imread(str(tmp_path / "out/vis" / Path(other["file"]).name)).shape == (48, 64, 3)


def test_with_views_a_checkpoint_is_tested_with_its_own_or_the_default_ones(
    trained: Path, config: Path, tmp_path: Path
) -> None:
    boxes = []
    for options in ([], ["--tta"]):
        run("test", config, trained, "--out", tmp_path / "results.pkl", *options)
        boxes.append(pickle.loads((tmp_path / "results.pkl").read_bytes())[0]["pred_instances"]["bboxes"])
    assert boxes[0].shape != boxes[1].shape or not (boxes[0] == boxes[1]).all()
    config.write_text(config.read_text() + "tta_model = dict(type='DetTTAModle')\n")
    output = run("test", config, trained, "--tta", code=1)
    assert "did you mean 'DetTTAModel'" in output


def test_an_unreadable_image_is_named_and_the_others_are_done(
    trained: Path, voc: Path, tmp_path: Path
) -> None:
    (voc / "JPEGImages/picture_1.jpg").write_bytes(b"no picture")
    output = run("infer", trained, voc / "JPEGImages", "--out-dir", tmp_path / "out", code=1)
    assert "picture_1.jpg" in output
    images = json.loads((tmp_path / "out/predictions.json").read_text())["images"]
    assert ["error" in image for image in images] == [False, True, False, False]


@pytest.mark.parametrize("form", [["--cfg-options"], []], ids=["option", "bare"])
def test_overrides_reach_the_config_that_a_checkpoint_carries(
    trained: Path, voc: Path, tmp_path: Path, form: list[str]
) -> None:
    few = [*form, "model.test_cfg.rcnn.max_per_img=1"]
    run("infer", trained, voc / "JPEGImages", "--out-dir", tmp_path / "out", "--score-thr", 0, *few)
    images = json.loads((tmp_path / "out/predictions.json").read_text())["images"]
    assert [len(image["boxes"]) for image in images] == [1, 1, 1, 1]


def test_inference_refuses_a_device_and_a_checkpoint_that_do_not_fit(
    trained: Path, config: Path, voc: Path, tmp_path: Path
) -> None:
    out = ["--out-dir", tmp_path / "out"]
    assert "'cuad'" in run("infer", trained, voc / "JPEGImages", *out, "--device", "cuad", code=1)
    wider = "model.roi_head.bbox_head.fc_out_channels=48"
    output = run("infer", config, trained, voc / "JPEGImages", *out, wider, code=1)
    assert "(32, 784) in the checkpoint, (48, 784) in the model" in output


def test_a_checkpoint_alone_is_tested(trained: Path) -> None:
    assert "pascal_voc/mAP" in run("test", trained / "epoch_1.pth")


def test_training_goes_on_with_resume(trained: Path, config: Path) -> None:
    output = run("train", config, "--resume", "train_cfg.max_epochs=2")
    assert "Epoch(train) [2]" in output or "Epoch(train)  [2]" in output or "2 epochs" in output
    assert (trained / "epoch_2.pth").is_file()


def test_a_classifier_learns_shapes_and_names_them(tmp_path: Path) -> None:
    from toolkit.dataset.shapes_files import ShapesSource, write_shapes

    config = Path(__file__).resolve().parents[2] / "configs/quickstart/resnet_shapes.py"
    fewer = [f"{name}_dataloader.dataset.num_images=64" for name in ("train", "val")]
    run("train", config, "--work-dir", tmp_path / "work", "--seed", 0, "max_epochs=1", *fewer)
    images = write_shapes(str(tmp_path / "images"), 3, ShapesSource(num_shapes=(1, 1), radius=(0.2, 0.4)))
    run("infer", tmp_path / "work", *images, "--out-dir", tmp_path / "out")
    records = json.loads((tmp_path / "out/predictions.json").read_text())["images"]
    assert len(records) == 3
    for record in records:
        assert record["label"] in ("circle", "square", "triangle")
        assert 1 / 3 <= record["score"] <= 1
