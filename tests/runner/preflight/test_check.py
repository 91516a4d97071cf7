"""Errors of a config: each found, all at once, with place and nearest choice."""

from __future__ import annotations

import pytest

from toolkit.config import Config
from toolkit.registry import allowed
from toolkit.runner.preflight import PreflightError, check
from toolkit.utils import ConfigError, ToolkitError


def put(cfg, path, value):
    """Set the value at a dotted path; a value of None removes the key."""
    *parents, key = path.split(".")
    for part in parents:
        cfg = cfg[int(part) if isinstance(cfg, list) else part]
    key = int(key) if isinstance(cfg, list) else key
    if value is None:
        del cfg[key]
    else:
        cfg[key] = value


def problems(cfg, mode="train"):
    with pytest.raises(PreflightError) as caught:
        check(cfg, mode)
    return [str(one) for one in caught.value.problems]


@pytest.mark.parametrize("mode", ["train", "test", "infer"])
def test_a_good_config_passes(good, mode):
    check(good, mode)
    check(Config(good), mode)


def test_an_unknown_mode_is_refused(good):
    with pytest.raises(ValueError, match="trian"):
        check(good, "trian")


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("model.backbone.dpeth", 1, "model.backbone: PreBackbone got 'dpeth'; did you mean 'depth'? It"),
        ("model.backbone.stile", "x", "model.backbone: PreBackbone got 'stile'; did you mean 'style'? It"),
        ("model.backbone.type", "PreBackbon", "model.backbone: no model is called 'PreBackbon'"),
        ("model.backbone.depth", None, "model.backbone: PreBackbone needs 'depth'. It takes: d"),
        ("model.backbone.norm_cfg.type", "BatchNorn2d", "did you mean 'BatchNorm2d'?"),
        ("model.head.loss_cls.wieght", 1, "head.loss_cls: PreLoss got 'wieght'; did you mean 'weight'?"),
        ("model.head.bbox_coder.type", "PreCodr", "model.head.bbox_coder: no task util is called 'PreCodr'"),
        ("model.train_cfg.rcnn.assigner.mean", 1, "model.train_cfg.rcnn.assigner: PreCoder got 'mean'"),
        ("model.tset_cfg", {}, "model: PreNet got 'tset_cfg'"),
        ("model.type", None, "model: a model needs a 'type'"),
        ("train_dataloader.btach_size", 3, "train_dataloader: a dataloader got 'btach_size'"),
        ("train_dataloader.dataset", None, "train_dataloader: a dataloader needs 'dataset'"),
        ("train_dataloader.sampler.shufle", 1, "DefaultSampler got 'shufle'"),
        ("train_dataloader.sampler.type", "DefaultSmpler", "did you mean 'DefaultSampler'?"),
        ("train_dataloader.dataset.type", "VOCDatset", "did you mean 'VOCDataset'?"),
        ("train_dataloader.dataset.anfile", "x", "VOCDataset got 'anfile'; did you mean 'ann_file'?"),
        ("train_dataloader.dataset.pipeline.1.with_box", 1, "LoadAnnotations got 'with_box'; did you mean"),
        ("train_dataloader.dataset.pipeline.0.type", "LoadImage", "no transform is called 'LoadImage'"),
        ("val_evaluator.metrc", 1, "val_evaluator: VOCMetric got 'metrc'; did you mean 'metric'?"),
        ("val_evaluator.type", "VocMetric", "did you mean 'VOCMetric'?"),
        ("train_cfg.max_epoch", 3, "train_cfg: EpochBasedTrainLoop got 'max_epoch'"),
        ("optim_wrapper.optimizer.type", "Adamw", "optim_wrapper.optimizer: no optimizer is called 'Adamw'"),
        ("optim_wrapper.optimizer.momentm", 1, "SGD got 'momentm'; did you mean 'momentum'?"),
        ("optim_wrapper.optimizer", None, "needs 'optimizer'"),
        ("optim_wrapper.clipgrad", 1, "OptimWrapper got 'clipgrad'; did you mean 'clip_grad'?"),
        ("param_scheduler.0.start_facto", 1, "param_scheduler.0: LinearLR got 'start_facto'"),
        ("param_scheduler.1.milestones", None, "param_scheduler.1: MultiStepLR needs 'milestones'"),
        ("default_hooks.logger.intervall", 1, "default_hooks.logger: LoggerHook got 'intervall'"),
        ("custom_hooks.0.type", "EmptyCachHook", "custom_hooks.0: no hook is called 'EmptyCachHook'"),
        ("visualizer.vis_backends.0.type", "LocalBackend", "vis_backends.0: no visualizer backend is called"),
        ("log_processor.windowsize", 1, "log_processor: LogProcessor got 'windowsize'"),
        ("default_scope", "mmdett", "there is no scope 'mmdett'; did you mean 'mmdet'?"),
        ("model", None, "the config has no 'model'"),
        ("optim_wrapper", None, "missing: train_dataloader, train_cfg, optim_wrapper go together"),
        ("val_cfg", None, "'val_cfg' is missing"),
    ],
)  # fmt: skip
def test_each_mistake_is_told(good, path, value, said):
    put(good, path, value)
    found = problems(good)
    assert any(said in one for one in found), found
    if path not in ("optim_wrapper", "train_dataloader.dataset"):
        assert len(found) == 1, found


def test_a_typo_on_a_subclass_that_passes_kwargs_on(good):
    good["model"]["backbone"] = {"type": "PreBackboneV2", "dept": 3}
    (found,) = problems(good)
    assert "PreBackboneV2 got 'dept'; did you mean 'depth'? It takes: extra, depth (required), style" in found


def test_all_at_once_and_each_once(good):
    put(good, "model.backbone.stile", 1)
    put(good, "optim_wrapper.optimizer.type", "SDG")
    for role in ("train", "val"):
        put(good, f"{role}_dataloader.dataset.pipeline.1.with_box", 1)
    found = problems(good)
    assert len(found) == 4  # plain dicts have no origin, so that the two pipelines are two places
    with pytest.raises(ToolkitError, match=r"^4 problems in the config:\n  model\.backbone: "):
        check(good, "train")


def test_place_with_file_and_line_and_shared_values_told_once(tmp_path):
    path = tmp_path / "c.py"
    path.write_text(
        "model = dict(\n"
        "    type='PreNet',\n"
        "    backbone=dict(\n"
        "        type='PreBackbone',\n"
        "        dpth=50))\n"
        "test_pipeline = [\n"
        "    dict(type='LoadImageFromFil'),\n"
        "]\n"
        "val_dataloader = dict(dataset=dict(type='VOCDataset', pipeline=test_pipeline))\n"
        "test_dataloader = val_dataloader\n"
        "val_cfg = dict()\nval_evaluator = dict(type='VOCMetric')\n"
        "test_cfg = dict()\ntest_evaluator = val_evaluator\n"
    )
    found = problems(Config.fromfile(str(path)), "test")
    assert len(found) == 2, found
    assert "c.py:5 model.backbone: PreBackbone got 'dpth'; did you mean 'depth'?" in found[0]
    assert "c.py:7 test_dataloader.dataset.pipeline.0: no transform is called 'LoadImageFromFil'" in found[1]


def test_objects_that_are_built_already_pass(good):
    from torch import nn

    good["model"] = nn.Linear(1, 1)
    good["optim_wrapper"]["optimizer"] = object()
    good["custom_hooks"] = [object()]
    check(good, "train")


def test_several_optimizers_by_name(good):
    wrapper = good["optim_wrapper"]
    good["optim_wrapper"] = {"constructor": "Mine", "generator": dict(wrapper), "critic": dict(wrapper)}
    good["param_scheduler"] = {"generator": [{"type": "ConstantLR", "factor": 0.1, "facto": 1}]}
    (found,) = problems(good)
    assert "param_scheduler.generator.0: ConstantLR got 'facto'" in found


def test_what_is_needed_depends_on_the_mode(good):
    for part in ("train_dataloader", "train_cfg", "optim_wrapper", "param_scheduler"):
        del good[part]
    check(good, "test")  # the validation group stands in for the test group
    found = problems(good, "train")
    assert len(found) == 3
    assert all("go together" in one for one in found)
    for part in ("val_dataloader", "val_cfg", "val_evaluator"):
        del good[part]
    assert len(problems(good, "test")) == 3
    check(good, "infer")


def test_a_misspelt_part_is_pointed_at(good):
    good["train_dataloder"] = good.pop("train_dataloader")
    (found,) = problems(good)
    assert "there is 'train_dataloder': did you mean 'train_dataloader'?" in found


def test_a_scheduler_needs_an_optimizer(good):
    for part in ("train_dataloader", "train_cfg", "optim_wrapper"):
        del good[part]
    assert any("a param_scheduler needs an 'optim_wrapper'" in one for one in problems(good))


def test_custom_imports_come_first_and_allow_their_package(good, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(allowed, "_user_packages", set())
    (tmp_path / "my_nets_of_this_test.py").write_text(
        "from torch import nn\nclass Mine(nn.Module):\n    def __init__(self, size): super().__init__()\n"
    )
    good["model"]["backbone"] = {"type": "my_nets_of_this_test.Mine", "siz": 3}
    (found,) = problems(good)
    assert "custom_imports" in found
    good["custom_imports"] = {"imports": ["my_nets_of_this_test"]}
    (found,) = problems(good)
    assert "Mine got 'siz'; did you mean 'size'?" in found
    good["custom_imports"] = {"imports": ["not_there_in_this_test"]}
    with pytest.raises(ConfigError, match="not_there_in_this_test"):
        check(good, "train")


def test_nothing_that_a_config_may_not_reach_is_imported(good):
    good["model"]["backbone"] = {"type": "os.system", "command": "echo"}
    good["custom_hooks"] = [{"type": "torch.hub.load", "repo_or_dir": "x"}]
    found = problems(good)
    assert "model.backbone: 'os.system' points into the package 'os'" in found[0]
    assert "custom_hooks.0: 'torch.hub.load' can't be used as a hook" in found[1]


def test_two_equal_metrics(good):
    metric = good["val_evaluator"]
    good["val_evaluator"] = [dict(metric), {**metric, "prefix": "second"}, dict(metric)]
    (found,) = problems(good)
    assert "val_evaluator: has two equal metrics VOCMetric" in found
    good["val_evaluator"] = {"type": "Evaluator", "metrics": good["val_evaluator"][:2]}
    check(good)
