"""`data` and `evaluation`: datasets, dataloaders and evaluators."""

from __future__ import annotations

from typing import Any

from toolkit.config.config_dict import ConfigDict
from toolkit.config.config_list import ConfigList
from toolkit.config.migrate.edit import Draft, Values, change, origin_in, rename, traced
from toolkit.config.migrate.pipeline import Pipelines
from toolkit.config.origin import Origin

_PARTS = ("train", "val", "test")
_METRICS = {
    "VOCDataset": "VOCMetric",
    "WIDERFaceDataset": "VOCMetric",
    "LVISDataset": "LVISMetric",
    "LVISV05Dataset": "LVISMetric",
    "LVISV1Dataset": "LVISMetric",
    "CocoPanopticDataset": "CocoPanopticMetric",
    "OpenImagesDataset": "OpenImagesMetric",
    "OpenImagesChallengeDataset": "OpenImagesMetric",
}
_PREFIXES = {"img_prefix": "img", "seg_prefix": "seg"}
_PER_LOADER = {
    "samples_per_gpu": "batch_size",
    "imgs_per_gpu": "batch_size",
    "workers_per_gpu": "num_workers",
    "persistent_workers": "persistent_workers",
    "pin_memory": "pin_memory",
    "prefetch_factor": "prefetch_factor",
}
_PASCAL = ("VOCDataset", "XMLDataset", "WIDERFaceDataset")


def migrate_data(draft: Draft, pipelines: Pipelines) -> None:
    """Turn `data` and `evaluation` into dataloaders and evaluators, and old pipelines into new ones."""
    data, origin = draft.take("data")
    evaluation, eval_origin = draft.take("evaluation")
    if data is not None:
        shared = {key: data[key] for key in _PER_LOADER if key in data}
        for part in _PARTS:
            if isinstance(data.get(part), (dict, list)):
                _part(draft, pipelines, data, part, shared)
        draft.steps.note(origin, "data -> train_dataloader, val_dataloader, test_dataloader")
        _evaluators(draft, evaluation, data, eval_origin)
    _variables(draft, pipelines)
    _best(draft, evaluation, eval_origin)


def _part(draft: Draft, pipelines: Pipelines, data: ConfigDict, part: str, shared: Values) -> None:
    origin = origin_in(data, part)
    own = {key: value for key, value in (data.get(f"{part}_dataloader") or {}).items() if key in _PER_LOADER}
    dataset = _Datasets(draft, pipelines, part, origin).migrated(data[part])
    if part == "train":
        settings = {"batch_size": 2, "num_workers": 2, **_loader({**shared, **own})}
    else:
        workers = {key: shared[key] for key in shared if _PER_LOADER[key] != "batch_size"}
        settings = {"batch_size": 1, "num_workers": 2, **_loader({**workers, **own})}
        if isinstance(data[part], dict) and "samples_per_gpu" in data[part]:
            settings["batch_size"] = data[part]["samples_per_gpu"]
    loader: Values = {**settings, "persistent_workers": settings.get("num_workers", 0) > 0}
    if part == "train":
        kind = "InfiniteSampler" if draft.in_iterations else "DefaultSampler"
        loader["sampler"] = {"type": kind, "shuffle": True}
        if dataset.get("type") != "MultiImageMixDataset":
            loader["batch_sampler"] = {"type": "AspectRatioBatchSampler"}
    else:
        loader["drop_last"] = False
        loader["sampler"] = {"type": "DefaultSampler", "shuffle": False}
    loader["dataset"] = dataset
    draft.set(f"{part}_dataloader", loader, origin)


def _loader(settings: Values) -> Values:
    return {_PER_LOADER[key]: value for key, value in settings.items()}


class _Datasets:
    """Turns the datasets of one part into their new form."""

    def __init__(self, draft: Draft, pipelines: Pipelines, part: str, origin: Origin) -> None:
        self.draft, self.pipelines = draft, pipelines
        self.part, self.origin = part, origin

    def migrated(self, dataset: Any, packs: bool = True) -> Any:
        """A dataset, or a list of them to be joined."""
        if isinstance(dataset, (list, tuple)):
            return self._joined([self.migrated(one, packs) for one in dataset])
        dataset = dataset.copy()
        dataset.pop("samples_per_gpu", None)
        for key in ("dataset", "datasets"):
            if key in dataset:
                inner_packs = packs and "pipeline" not in dataset
                inner = dataset[key]
                several = key == "datasets"
                found = [self.migrated(one, inner_packs) for one in (inner if several else [inner])]
                change(dataset, key, found if several else found[0])
        if "pipeline" in dataset:
            change(dataset, "pipeline", self._pipeline(dataset["pipeline"], packs))
        if "dataset" in dataset or "datasets" in dataset:
            return dataset
        return self._leaf(dataset)

    def _pipeline(self, pipeline: Any, packs: bool) -> ConfigList:
        if self.part == "train":
            return self.pipelines.train(pipeline, packs)
        found = self.pipelines.test(pipeline)
        if found.tta is not None:
            _add_tta(self.draft, found.tta, self.origin)
        return found.plain

    def _joined(self, datasets: list[Any]) -> Any:
        joined: Values = {"type": "ConcatDataset", "datasets": ConfigList(datasets)}
        if any(one.get("type") in _PASCAL for one in datasets):
            # The two years of VOC call themselves differently, which is no reason not to join them.
            joined["ignore_keys"] = ["dataset_type"]
        return traced(joined, self.origin)

    def _leaf(self, dataset: ConfigDict) -> Any:
        files = dataset.get("ann_file")
        if isinstance(files, (list, tuple)):
            prefixes = dataset.get("img_prefix")
            parts = []
            for index, file in enumerate(files):
                one = dataset.copy()
                change(one, "ann_file", file)
                if isinstance(prefixes, (list, tuple)):
                    change(one, "img_prefix", prefixes[index])
                parts.append(self._leaf(one))
            self.draft.steps.note(origin_in(dataset, "ann_file"), "a list of ann_file -> ConcatDataset")
            return self._joined(parts)
        self._paths(dataset)
        if "classes" in dataset:
            origin = origin_in(dataset, "classes")
            change(dataset, "metainfo", {"classes": dataset.pop("classes")}, origin)
            self.draft.steps.note(origin, "classes -> metainfo.classes")
        rename(dataset, "file_client_args", "backend_args")
        if self.part == "train":
            self._filters(dataset)
        else:
            change(dataset, "test_mode", True, self.origin)
        return dataset

    def _paths(self, dataset: ConfigDict) -> None:
        """Split paths into `data_root` and what follows it; name the folders in `data_prefix`."""
        root = dataset.get("data_root") or self.draft.names.get("data_root")
        origin = origin_in(dataset, "ann_file")
        texts = ("ann_file", "proposal_file", *_PREFIXES)
        inside = isinstance(root, str) and any(
            isinstance(dataset.get(key), str) and dataset[key].startswith(root) for key in texts
        )
        if inside:
            change(dataset, "data_root", root, origin)
            for key in texts:
                if isinstance(dataset.get(key), str):
                    change(dataset, key, dataset[key].removeprefix(root))
        prefixes: Values = {}
        for old, new in _PREFIXES.items():
            if old in dataset:
                prefixes[new] = dataset.pop(old)
        if prefixes:
            if dataset.get("type") in _PASCAL and "img" in prefixes:
                prefixes["sub_data_root"] = prefixes.pop("img")
            change(dataset, "data_prefix", prefixes, origin)
            self.draft.steps.note(origin, "img_prefix, seg_prefix -> data_prefix")

    def _filters(self, dataset: ConfigDict) -> None:
        keeps = dataset.pop("filter_empty_gt", True)
        least = dataset.pop("min_size", 32)
        filters: Values = {"filter_empty_gt": keeps, "min_size": 32}
        if dataset.get("type") in _PASCAL:
            filters["bbox_min_size"] = least
        if keeps or dataset.get("type") in _PASCAL:
            change(dataset, "filter_cfg", filters, self.origin)


def _add_tta(draft: Draft, pipeline: ConfigList, origin: Origin) -> None:
    if "tta_pipeline" in draft.names:
        return
    nms = {"nms": {"type": "nms", "iou_threshold": 0.5}, "max_per_img": 100}
    draft.set("tta_model", {"type": "DetTTAModel", "tta_cfg": nms}, origin)
    draft.set(
        "tta_pipeline", pipeline, origin, "test-time augmentation -> tta_pipeline; ask for it with --tta"
    )


# Evaluators.


def _evaluators(draft: Draft, evaluation: Any, data: ConfigDict, origin: Origin) -> None:
    for part in ("val", "test"):
        loader = draft.names.get(f"{part}_dataloader")
        if loader is None:
            continue
        found = _evaluator(loader["dataset"], evaluation or {})
        draft.set(f"{part}_evaluator", found, origin_in(data, part))
    if "val_evaluator" in draft.names:
        draft.steps.note(origin, "evaluation -> val_evaluator, test_evaluator")


def _evaluator(dataset: Any, evaluation: Values) -> Any:
    while "dataset" in dataset:
        dataset = dataset["dataset"]
    if "datasets" in dataset:
        dataset = dataset["datasets"][0]
    kind = dataset.get("type")
    metric = evaluation.get("metric", "bbox")
    if _METRICS.get(kind) == "VOCMetric":
        mode = "area" if "2012" in str(dataset.get("ann_file")) else "11points"
        return {"type": "VOCMetric", "metric": "mAP", "eval_mode": mode}
    if _METRICS.get(kind) == "OpenImagesMetric":
        return {"type": "OpenImagesMetric", "iou_thrs": 0.5, "ioa_thrs": 0.5, "use_group_of": True}
    file = str(dataset.get("data_root") or "") + str(dataset.get("ann_file"))
    made: Values = {"type": _METRICS.get(kind, "CocoMetric"), "ann_file": file}
    if made["type"] == "CocoPanopticMetric":
        folder = (dataset.get("data_prefix") or {}).get("seg", "")
        made["seg_prefix"] = str(dataset.get("data_root") or "") + folder
        return made
    made["metric"] = metric
    for key in ("classwise", "proposal_nums", "iou_thrs", "metric_items"):
        if key in evaluation:
            made[key] = evaluation[key]
    if made["type"] == "CocoMetric":
        made["format_only"] = False
    return made


def _best(draft: Draft, evaluation: Any, origin: Origin) -> None:
    """Keeping the best checkpoint is the checkpoint hook's now."""
    best = (evaluation or {}).get("save_best")
    if best is None:
        return
    if best != "auto":
        prefix = "pascal_voc" if draft.names.get("dataset_type") in _PASCAL else "coco"
        best = best if "/" in best else f"{prefix}/{best}"
    hooks = draft.group("default_hooks")
    hook = dict(hooks.get("checkpoint") or {"type": "CheckpointHook"})
    hook["save_best"] = best
    if "rule" in evaluation:
        hook["rule"] = evaluation["rule"]
    draft.set_in("default_hooks", "checkpoint", hook, origin)
    draft.steps.note(origin, "evaluation.save_best -> default_hooks.checkpoint.save_best")


def _variables(draft: Draft, pipelines: Pipelines) -> None:
    """Pipelines that stand as variables beside the datasets, so that they aren't mistaken for new ones."""
    for key, train in (("train_pipeline", True), ("test_pipeline", False)):
        if not isinstance(draft.names.get(key), list) or not draft.names[key]:
            continue
        value, origin = draft.take(key)
        found = pipelines.train(value, packs=False) if train else pipelines.test(value).plain
        draft.set(key, found, origin)
    draft.drop("img_norm_cfg", "normalising is model.data_preprocessor's")
    for key in ("train_dataset", "load_pipeline"):
        draft.drop(key, "what it stood for is written where it is used")
