"""Hooks, logging and the environment."""

from __future__ import annotations

from typing import Any

from toolkit.config.config_list import ConfigList
from toolkit.config.migrate.edit import Draft, Values, origin_in, traced

_BACKENDS = {
    "TensorboardLoggerHook": "TensorboardVisBackend",
    "WandbLoggerHook": "WandbVisBackend",
    "MMDetWandbHook": "WandbVisBackend",
    "MlflowLoggerHook": "MLflowVisBackend",
    "NeptuneLoggerHook": "NeptuneVisBackend",
    "DvcliveLoggerHook": "DVCLiveVisBackend",
    "ClearMLLoggerHook": "ClearMLVisBackend",
}
_EMA = {"ExpMomentumEMAHook": "ExpMomentumEMA", "LinearMomentumEMAHook": "ExponentialMovingAverage"}
_DEFAULT_LOG_INTERVAL = 10


def migrate_runtime(draft: Draft) -> None:
    """Turn hooks, logging and environment settings into `default_hooks`, `custom_hooks`, `env_cfg` …"""
    _default_hooks(draft)
    _custom_hooks(draft)
    _environment(draft)
    _start(draft)


def _default_hooks(draft: Draft) -> None:
    log, log_origin = draft.take("log_config")
    saves, save_origin = draft.take("checkpoint_config")
    if log is None and saves is None:
        return
    log = log or {}
    interval = log.get("interval", _DEFAULT_LOG_INTERVAL)
    logger: Values = {"type": "LoggerHook", "interval": interval}
    for key in ("ignore_last", "interval_exp_name"):
        if key in log:
            logger[key] = log[key]
    for name, kind in (
        ("timer", "IterTimerHook"),
        ("param_scheduler", "ParamSchedulerHook"),
        ("sampler_seed", "DistSamplerSeedHook"),
        ("visualization", "DetVisualizationHook"),
    ):
        draft.set_in("default_hooks", name, {"type": kind}, log_origin)
    draft.set_in("default_hooks", "logger", logger, log_origin)
    draft.steps.note(log_origin, "log_config -> default_hooks.logger")
    checkpoint: Values = {"type": "CheckpointHook", "interval": 1, **(saves or {})}
    if draft.in_iterations:
        checkpoint.setdefault("by_epoch", False)
    draft.set_in("default_hooks", "checkpoint", checkpoint, save_origin)
    draft.steps.note(save_origin, "checkpoint_config -> default_hooks.checkpoint")
    _backends(draft, log.get("hooks") or ())
    lines: Values = {"type": "LogProcessor", "window_size": 50, "by_epoch": not draft.in_iterations}
    draft.set("log_processor", lines, log_origin)


def _backends(draft: Draft, hooks: Any) -> None:
    origin = origin_in(draft.group("default_hooks"), "logger")
    backends: list[Any] = [{"type": "LocalVisBackend"}]
    for hook in hooks:
        kind = hook.get("type")
        if kind in _BACKENDS:
            backend: Values = {"type": _BACKENDS[kind]}
            if "init_kwargs" in hook:
                backend["init_kwargs"] = hook["init_kwargs"]
            backends.append(backend)
            draft.steps.note(origin_in(hook, "type"), f"{kind} -> visualizer.vis_backends: {backend['type']}")
        elif kind not in ("TextLoggerHook", None):
            draft.steps.note(
                origin_in(hook, "type"), f"{kind} dropped: no such logger; the log is written anyway"
            )
    draft.set("vis_backends", backends, origin)
    visualizer = {"type": "DetLocalVisualizer", "vis_backends": backends, "name": "visualizer"}
    draft.set("visualizer", visualizer, origin)


def _custom_hooks(draft: Draft) -> None:
    hooks, origin = draft.take("custom_hooks")
    kept: list[Any] = []
    for hook in hooks or ():
        if not isinstance(hook, dict):
            kept.append(hook)
            continue
        kind = hook.get("type")
        if kind == "NumClassCheckHook":
            draft.steps.note(origin_in(hook, "type"), f"{kind} dropped: classes are checked before every run")
        elif kind in _EMA:
            kept.append(_ema(draft, hook))
        elif kind is None:
            draft.steps.note(origin, "an entry of custom_hooks without a type dropped")
        else:
            hook = hook.copy()
            if kind == "SyncNormHook":
                for key in ("num_last_epochs", "interval"):
                    hook.pop(key, None)
            if kind in _BACKENDS:
                continue
            kept.append(hook)
    if kept:
        draft.set("custom_hooks", ConfigList(kept), origin)


def _ema(draft: Draft, hook: Any) -> Any:
    origin = origin_in(hook, "type")
    made: Values = {"type": "EMAHook", "ema_type": _EMA[hook["type"]], "update_buffers": True}
    for key in ("momentum", "priority", "interval"):
        if key in hook:
            made[key] = hook[key]
    draft.steps.note(origin, f"{hook['type']} -> EMAHook")
    return traced(made, origin)


def _environment(draft: Draft) -> None:
    moves = {
        "cudnn_benchmark": ("cudnn_benchmark", None),
        "dist_params": ("dist_cfg", None),
        "opencv_num_threads": ("mp_cfg", "opencv_num_threads"),
        "mp_start_method": ("mp_cfg", "mp_start_method"),
    }
    for old, (group, key) in moves.items():
        if old not in draft.names:
            continue
        value, origin = draft.take(old)
        if key is not None:
            inner = draft.group("env_cfg").get(group)
            value = {**(inner or {}), key: value}
        draft.set_in("env_cfg", group, value, origin)
        draft.steps.note(origin, f"{old} -> env_cfg.{group}" + (f".{key}" if key else ""))
    if "env_cfg" in draft.names:
        draft.group("env_cfg").setdefault("cudnn_benchmark", False)


def _start(draft: Draft) -> None:
    resume, origin = draft.take("resume_from")
    if resume:
        draft.set("load_from", resume, origin, "resume_from -> load_from and resume=True")
    if resume or "load_from" in draft.names:
        draft.set("resume", bool(resume), origin)
    auto, origin = draft.take("auto_resume")
    if auto:
        draft.set("resume", True, origin, "auto_resume -> resume=True")
    draft.drop("gpu_ids", "processes come from the launcher")
    workflow, origin = draft.take("workflow")
    if workflow is not None and any(mode == "val" for mode, _ in workflow):
        draft.steps.note(
            origin, "workflow dropped: for losses on validation data set val_cfg=dict(loss=True)"
        )
