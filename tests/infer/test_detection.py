"""DetInferencer and MMDetection's functions: results, files, names, colours."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from toolkit.config import Config
from toolkit.dataset import Compose
from toolkit.detection.datasets import VOCDataset
from toolkit.infer import DetInferencer, inference_detector, inferencer_from, init_detector
from toolkit.infer.output import infer_to_folder
from toolkit.registry import INFERENCERS, DefaultScope
from toolkit.utils import CheckpointError, ConfigError, DataError


@pytest.fixture(scope="module")
def inferencer(detector: SimpleNamespace) -> DetInferencer:
    return DetInferencer(detector.config, detector.checkpoint, device="cpu", show_progress=False)


@pytest.fixture
def paths(detector: SimpleNamespace) -> list[str]:
    return [str(detector.images / f"{number}.png") for number in range(3)]


def by_hand(inferencer: DetInferencer, path: str) -> Any:
    """The prediction of one image, by the config's own pipeline and the model."""
    with DefaultScope.overwrite_default_scope("mmdet"):
        steps = inferencer.cfg.test_dataloader.dataset.pipeline
        pipeline = Compose([step for step in steps if step["type"] != "LoadAnnotations"])
    sample = pipeline({"img_path": path, "img_id": 0})
    assert sample is not None
    with torch.no_grad():
        (found,) = inferencer.model.test_step({key: [value] for key, value in sample.items()})  # type: ignore[operator]
    return found.pred_instances


def test_a_dict_an_image(inferencer: DetInferencer, paths: list[str]) -> None:
    result = inferencer(paths)
    assert result["visualization"] == []
    assert len(result["predictions"]) == 3
    for path, record in zip(paths, result["predictions"], strict=True):
        json.dumps(record)
        expected = by_hand(inferencer, path)
        assert record["labels"] == expected.labels.tolist()
        assert record["scores"] == expected.scores.tolist()
        assert record["bboxes"] == expected.bboxes.tolist()
        masks = np.stack([coco_mask.decode(one) for one in record["masks"]])
        assert np.array_equal(masks, expected.masks.numpy().astype(np.uint8))


def test_memory_format_is_the_configs(
    detector: SimpleNamespace, inferencer: DetInferencer, paths: list[str]
) -> None:
    cfg = Config.fromfile(detector.config)
    cfg.env_cfg = {"channels_last": True}
    model = init_detector(cfg, detector.checkpoint, device="cpu")
    weight = model.backbone.layer2[0].conv1.weight  # type: ignore[union-attr, index]
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert not inferencer.model.backbone.layer2[0].conv1.weight.is_contiguous(  # type: ignore[union-attr, index]
        memory_format=torch.channels_last
    )
    found, expected = inference_detector(model, paths[0]).pred_instances, by_hand(inferencer, paths[0])
    torch.testing.assert_close(found.scores, expected.scores, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.bboxes, expected.bboxes, atol=1e-3, rtol=1e-5)


def test_inputs_of_all_kinds_give_the_same(inferencer: DetInferencer, paths: list[str]) -> None:
    expected = inferencer(paths)["predictions"]
    folder = str(Path(paths[0]).parent)
    arrays = [cv2.imread(path) for path in paths]
    for inputs in (folder, f"{folder}/*.png", tuple(map(Path, paths)), arrays, [{"img": a} for a in arrays]):
        assert inferencer(inputs)["predictions"] == expected
    assert inferencer(paths[1])["predictions"] == expected[1:2]
    assert inferencer(arrays[1])["predictions"] == expected[1:2]
    with pytest.raises(DataError, match=r"did you mean '2\.png'"):
        inferencer(f"{folder}/22.png")
    with pytest.raises(DataError, match="not as int"):
        inferencer([3])


def test_data_samples_and_pictures(inferencer: DetInferencer, paths: list[str]) -> None:
    result = inferencer(paths, batch_size=2, return_datasamples=True, return_vis=True, pred_score_thr=0.0)
    assert [sample.img_path for sample in result["predictions"]] == paths
    for path, picture in zip(paths, result["visualization"], strict=True):
        image = cv2.imread(path)[..., ::-1]
        assert picture.shape == image.shape
        assert not np.array_equal(picture, image)
    bare = inferencer(paths[0], return_vis=True, draw_pred=False)["visualization"][0]
    assert np.array_equal(bare, cv2.imread(paths[0])[..., ::-1])


def test_what_is_stored(inferencer: DetInferencer, paths: list[str], tmp_path: Path) -> None:
    def stored(name: str, inputs: Any, **kwargs: Any) -> list[str]:
        result = inferencer(inputs, out_dir=str(tmp_path / name), **kwargs)
        assert result["visualization"] == []
        found = sorted((tmp_path / name).rglob("*.*"))
        return [str(path.relative_to(tmp_path / name)) for path in found]

    assert stored("a", paths[:1]) == ["vis/0.png"]
    assert stored("b", paths[:1], no_save_vis=True, no_save_pred=False) == ["preds/0.json"]
    record = json.loads((tmp_path / "b/preds/0.json").read_text())
    assert record == inferencer(paths[0])["predictions"][0]
    array = cv2.imread(paths[0])
    expected = ["preds/00000000.json", "preds/00000001.json", "vis/00000000.jpg", "vis/00000001.jpg"]
    assert stored("c", [array, array], no_save_pred=False) == expected
    assert stored("d", paths[:1], no_save_vis=True) == []


def test_results_of_like_names_do_not_replace_each_other(
    inferencer: DetInferencer, paths: list[str], tmp_path: Path
) -> None:
    content = Path(paths[0]).read_bytes()
    for name in ("a/x.png", "b/x.png", "b/x.bmp"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(content)
    inferencer(str(tmp_path / "in"), out_dir=str(tmp_path / "out"), no_save_pred=False)
    names = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*")}
    predictions = {"preds/a/x.json", "preds/b/x.png.json", "preds/b/x.bmp.json"}
    assert names == {"vis/a/x.png", "vis/b/x.png", "vis/b/x.bmp"} | predictions


def test_a_result_is_printed(
    inferencer: DetInferencer, paths: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    inferencer(paths[0], print_result=True)
    assert "'bboxes'" in capsys.readouterr().out


def test_where_the_config_comes_from(detector: SimpleNamespace, paths: list[str]) -> None:
    cfg = Config.fromfile(detector.config)
    ways: list[dict[str, Any]] = [
        {"weights": detector.checkpoint},
        {"model": cfg, "weights": detector.checkpoint, "scope": "mmdet"},
        {"model": cfg.to_dict(), "weights": detector.checkpoint},
        {"model": init_detector(cfg, detector.checkpoint, device="cpu")},
    ]
    scores = [
        DetInferencer(device="cpu", show_progress=False, **way)(paths[0])["predictions"][0]["scores"]
        for way in ways
    ]
    assert all(one == scores[0] for one in scores)
    built = INFERENCERS.build({"type": "DetInferencer", **ways[0], "device": "cpu"})
    assert built.classes == ("cat", "dog")


def test_names_of_shipped_configs(detector: SimpleNamespace) -> None:
    names = DetInferencer.list_models("mmdet", "faster-rcnn_r50")
    assert "faster-rcnn_r50_fpn_1x_coco" in names
    assert all(name.startswith("faster-rcnn_r50") for name in names)
    with pytest.raises(CheckpointError, match=r"which weights go with it is not known"):
        DetInferencer("faster-rcnn_r50_fpn_1x_coco")
    with pytest.raises(ConfigError, match=r"did you mean 'faster-rcnn_r50_fpn_1x_coco'"):
        DetInferencer("faster_rcnn_r50_fpn_1x_coco", detector.checkpoint)
    with pytest.raises(CheckpointError, match="doesn't fit FasterRCNN"):
        DetInferencer("faster-rcnn_r50_fpn_1x_coco", detector.checkpoint)


def test_colours(detector: SimpleNamespace) -> None:
    def palette(name: Any) -> Any:
        return init_detector(detector.config, detector.checkpoint, name, "cpu").dataset_meta.get("palette")  # type: ignore[operator, union-attr]

    assert palette("none") is None
    assert palette("voc") == VOCDataset.METAINFO["palette"]
    assert palette([(1, 2, 3), (4, 5, 6)]) == [(1, 2, 3), (4, 5, 6)]
    with pytest.raises(ConfigError, match="did you mean 'coco'"):
        palette("cocoo")


def test_the_visualizer_knows_the_colours(detector: SimpleNamespace) -> None:
    colours = [(255, 255, 255), (0, 0, 0)]
    inferencer = DetInferencer(detector.config, detector.checkpoint, "cpu", palette=colours)
    assert inferencer.visualizer.dataset_meta == {"classes": ("cat", "dog"), "palette": colours}


def test_functions_of_mmdetection(
    detector: SimpleNamespace, inferencer: DetInferencer, paths: list[str]
) -> None:
    model = init_detector(detector.config, detector.checkpoint, device="cpu")
    one = inference_detector(model, paths[0])
    assert one.pred_instances.scores.tolist() == inferencer(paths[0])["predictions"][0]["scores"]
    several = inference_detector(model, [paths[0], cv2.imread(paths[0])])
    assert [len(sample.pred_instances) for sample in several] == [4, 4]
    seen = []

    def pipeline(results: dict[str, Any]) -> Any:
        seen.append((results["img_path"], results.get("text")))
        return inferencer.pipeline(results)

    inference_detector(model, paths[:2], test_pipeline=pipeline, text_prompt="a cat")
    assert seen == [(paths[0], "a cat"), (paths[1], "a cat")]


def test_options_change_the_config(detector: SimpleNamespace, paths: list[str]) -> None:
    options = {"model.test_cfg.rcnn.max_per_img": 1}
    cfg = Config.fromfile(detector.config)
    for config in (detector.config, cfg):
        model = init_detector(config, detector.checkpoint, device="cpu", cfg_options=options)
        assert len(inference_detector(model, paths[0]).pred_instances) == 1
    assert cfg.model.test_cfg.rcnn.max_per_img == 4


def test_random_weights_are_warned_of(detector: SimpleNamespace) -> None:
    with pytest.warns(UserWarning, match="random"):
        model = init_detector(detector.config, device="cpu")
    assert model.dataset_meta["classes"] == ("cat", "dog")  # type: ignore[index, operator]


def test_a_subclass_named_in_a_config(detector: SimpleNamespace, paths: list[str], tmp_path: Path) -> None:
    @INFERENCERS.register_module(force=True)
    class Counting(DetInferencer):
        def pred2dict(self, data_sample: Any) -> dict[str, Any]:
            return {"count": len(data_sample.pred_instances)}

    cfg = Config.fromfile(detector.config)
    cfg.inferencer = {"type": "Counting", "palette": "coco"}
    inferencer = inferencer_from(cfg, detector.checkpoint, device="cpu")
    assert type(inferencer) is Counting
    inferencer.show_progress = False
    assert inferencer(paths)["predictions"] == [{"count": 4}] * 3
    assert infer_to_folder(inferencer, paths, str(tmp_path), score_thr=0.0) == 0
    records = json.loads((tmp_path / "predictions.json").read_text())["images"]
    assert [len(record["boxes"]) for record in records] == [4, 4, 4]
    assert (tmp_path / "vis/0.png").is_file()
