"""`optimizer`, `optimizer_config`, `fp16`, `lr_config` and `runner`: how it is trained."""

from __future__ import annotations

from typing import Any

from toolkit.config.migrate.edit import Draft, Values
from toolkit.config.origin import Origin
from toolkit.utils.errors import ConfigError

_LOOPS = {
    "EpochBasedRunner": ("EpochBasedTrainLoop", "max_epochs"),
    "IterBasedRunner": ("IterBasedTrainLoop", "max_iters"),
}


def migrate_schedule(draft: Draft) -> None:
    """Turn the old training keys into `optim_wrapper`, `param_scheduler` and the loops' configs."""
    length = _loops(draft)
    _optimizer(draft)
    _learning_rate(draft, *length)
    momentum, origin = draft.take("momentum_config")
    if momentum is not None:
        raise ConfigError(
            f"{origin}: momentum_config has no counterpart that could be chosen for you; write the momentum "
            "schedule as an entry of param_scheduler (CosineAnnealingMomentum, OneCycleLR ...) and remove it"
        )


# Loops.


def _loops(draft: Draft) -> tuple[int | None, bool]:
    """Make `train_cfg`, `val_cfg` and `test_cfg`. The length of the training, and whether in epochs."""
    runner, origin = draft.take("runner")
    total, total_origin = draft.take("total_epochs")
    interval, dynamic = _val_interval(draft)
    if runner is None and total is None:
        return None, True
    if runner is None:
        runner, origin = {"type": "EpochBasedRunner", "max_epochs": total}, total_origin
    kind = runner.get("type", "EpochBasedRunner")
    if kind not in _LOOPS:
        raise ConfigError(
            f"{origin}: runner.type {kind!r} is not known to the migration; it knows {' and '.join(_LOOPS)}"
        )
    loop, key = _LOOPS[kind]
    length = runner.get(key, total)
    if length is None:
        raise ConfigError(f"{origin}: runner has no {key}")
    cfg: Values = {"type": loop, key: length, "val_interval": interval}
    if dynamic:
        cfg["dynamic_intervals"] = dynamic
    draft.set("train_cfg", cfg, origin, f"runner -> train_cfg ({loop}, {key}={length})")
    draft.set("val_cfg", {"type": "ValLoop"}, origin)
    draft.set("test_cfg", {"type": "TestLoop"}, origin)
    return length, key == "max_epochs"


def _val_interval(draft: Draft) -> tuple[int, Any]:
    evaluation = draft.names.get("evaluation") or {}
    return evaluation.get("interval", 1), evaluation.get("dynamic_intervals")


# The optimizer.


def _optimizer(draft: Draft) -> None:
    optimizer, origin = draft.take("optimizer")
    config, config_origin = draft.take("optimizer_config")
    fp16, fp16_origin = draft.take("fp16")
    if optimizer is None:
        return
    optimizer = optimizer.copy()
    wrapper: Values = {"type": "OptimWrapper"}
    for key in ("paramwise_cfg", "constructor"):
        if key in optimizer:
            wrapper[key] = optimizer.pop(key)
    wrapper["optimizer"] = optimizer
    draft.steps.note(origin, "optimizer -> optim_wrapper.optimizer")
    config = dict(config or {})
    if config.get("grad_clip"):
        wrapper["clip_grad"] = config["grad_clip"]
        draft.steps.note(config_origin, "optimizer_config.grad_clip -> optim_wrapper.clip_grad")
    if config.get("cumulative_iters", 1) > 1:
        wrapper["accumulative_counts"] = config["cumulative_iters"]
        draft.steps.note(
            config_origin, "optimizer_config.cumulative_iters -> optim_wrapper.accumulative_counts"
        )
    scale = (fp16 or {}).get("loss_scale", config.get("loss_scale"))
    if fp16 is not None or str(config.get("type", "")).startswith("Fp16"):
        wrapper["type"] = "AmpOptimWrapper"
        wrapper["loss_scale"] = "dynamic" if scale is None else scale
        draft.steps.note(fp16_origin, "fp16 -> optim_wrapper.type='AmpOptimWrapper'")
    draft.set("optim_wrapper", wrapper, origin)


# The learning rate.


def _learning_rate(draft: Draft, length: int | None, in_epochs: bool) -> None:
    config, origin = draft.take("lr_config")
    if config is None:
        return
    config = dict(config)
    # The runners of old filled this in: a run that counts iterations has its schedule in iterations.
    by_epoch = config.pop("by_epoch", in_epochs)
    policy = str(config.pop("policy", "fixed"))
    lr = ((draft.names.get("optim_wrapper") or {}).get("optimizer") or {}).get("lr")
    if policy.lower() == "yolox":
        schedule = _yolox(config, length, lr)
    else:
        # Where the schedule counts iterations in a run of epochs, its end is open.
        end = length if by_epoch == in_epochs else None
        schedule = _warmup(config) + _policy(policy, config, end, by_epoch, origin)
    schedule = [{key: value for key, value in entry.items() if value is not None} for entry in schedule]
    names = ", ".join(entry["type"] for entry in schedule) or "none"
    draft.set("param_scheduler", schedule, origin, f"lr_config ({policy}) -> param_scheduler ({names})")


def _warmup(config: Values) -> list[Values]:
    kind = config.pop("warmup", None)
    iters = config.pop("warmup_iters", 0)
    ratio = config.pop("warmup_ratio", 0.1)
    in_epochs = bool(config.pop("warmup_by_epoch", False))
    if kind is None:
        return []
    span = {"by_epoch": in_epochs, "begin": 0, "end": iters}
    if in_epochs:
        span["convert_to_iter_based"] = True
    if kind == "constant":
        return [{"type": "ConstantLR", "factor": ratio, **span}]
    # The exponential warm-up of old, `ratio ** (1 - k)`, is nearly linear where it counts.
    return [{"type": "LinearLR", "start_factor": ratio, **span}]


def _policy(policy: str, config: Values, length: int | None, by_epoch: bool, origin: Origin) -> list[Values]:
    span: Values = {"by_epoch": by_epoch, "begin": 0, "end": length}
    makers = {
        "step": _step,
        "fixed": lambda config: {},
        "exp": lambda config: {"type": "ExponentialLR", "gamma": config["gamma"]},
        "poly": lambda config: {
            "type": "PolyLR",
            "power": config.get("power", 1.0),
            "eta_min": config.get("min_lr", 0.0),
        },
        "cosineannealing": lambda config: {"type": "CosineAnnealingLR", "T_max": length, **_least(config)},
        "cosinerestart": lambda config: {
            "type": "CosineRestartLR",
            "periods": config["periods"],
            "restart_weights": config.get("restart_weights", [1]),
            **_least(config),
        },
        "onecycle": lambda config: {
            "type": "OneCycleLR",
            "eta_max": config["max_lr"],
            "total_steps": config.get("total_steps", length),
            **{key: config[key] for key in ("pct_start", "anneal_strategy", "three_phase") if key in config},
        },
    }
    name = policy.lower().removesuffix("lrupdaterhook")
    if name == "flatcosineannealing":
        return _flat_cosine(config, span, length)
    if name not in makers:
        raise ConfigError(
            f"{origin}: lr_config.policy {policy!r} has no counterpart; write param_scheduler in its place. "
            f"The migration knows: {', '.join([*makers, 'flatcosineannealing', 'yolox'])}"
        )
    try:
        made = makers[name](config)
    except KeyError as error:
        raise ConfigError(f"{origin}: lr_config of policy {policy!r} needs {error.args[0]!r}") from None
    return [{**made, **span}] if made else []


def _step(config: Values) -> Values:
    step = config["step"]
    if isinstance(step, int):
        return {"type": "StepLR", "step_size": step, "gamma": config.get("gamma", 0.1)}
    return {"type": "MultiStepLR", "milestones": step, "gamma": config.get("gamma", 0.1)}


def _least(config: Values) -> Values:
    """The end of a cosine: a rate, or a share of each group's own."""
    if config.get("min_lr_ratio") is not None:
        return {"eta_min_ratio": config["min_lr_ratio"]}
    return {"eta_min": config.get("min_lr", 0.0)}


def _flat_cosine(config: Values, span: Values, length: int | None) -> list[Values]:
    share = config.get("start_percent", 0.75)
    start = None if length is None else round(length * share)
    wave = {"type": "CosineAnnealingLR", **_least(config), **span, "begin": start}
    if length is not None and start is not None:
        wave["T_max"] = length - start
    return [wave]


def _yolox(config: Values, length: int | None, lr: float | None) -> list[Values]:
    """The quadratic warm-up, cosine and constant tail of YOLOX."""
    tail = config["num_last_epochs"]
    warm = config["warmup_iters"]
    turn = None if length is None else length - tail
    whole = {"by_epoch": True, "convert_to_iter_based": True}
    ratio = config.get("min_lr_ratio", 0.05)
    least: Values = {"eta_min_ratio": ratio} if lr is None else {"eta_min": lr * ratio}
    return [
        {"type": "mmdet.QuadraticWarmupLR", "begin": 0, "end": warm, **whole},
        {"type": "CosineAnnealingLR", **least, "begin": warm, "T_max": turn, "end": turn, **whole},
        {"type": "ConstantLR", "by_epoch": True, "factor": 1, "begin": turn, "end": length},
    ]
