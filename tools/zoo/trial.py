"""What is tried with one config, and with one model."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from toolkit.config import Config, ConfigDict
from toolkit.optim import build_optim_wrapper
from toolkit.registry import MODELS, DefaultScope
from toolkit.runner.preflight import PreflightError, check
from zoo.inputs import batch, sizes_for
from zoo.model import digest, shrink_batches, without_downloads

_UNKNOWN = re.compile(r"no [\w ]+ is called '([^']+)'|points into the package '([^']+)'")
_FOLDERS = re.compile(r"\S*/configs/")
_DEFAULT_OPTIMIZER = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=1e-4))
_SCALES = ("weight_gamma", "weight_beta")
Outcome = dict[str, Any]


def read(path: Path) -> Outcome:
    """Read a config and check all of it but whether its data are there.

    Returns:
        `load`, and where that is True: `model` and `optim_wrapper` as plain data, their digest `trial`,
        `scope`, and `lacking` and `problems` of training and of testing: types that there are none of, and
        the first line of what else is wrong.
    """
    try:
        cfg = Config.fromfile(str(path))
    except Exception as error:
        return {"load": False, "reason": last_line(error)}
    if cfg.get("model") is None:
        return {"load": True}
    model = without_downloads(cfg.get("model").to_dict())
    if cfg.get("data_preprocessor") is not None:
        preprocessor = without_downloads(cfg.get("data_preprocessor").to_dict())
        model.setdefault("data_preprocessor", preprocessor)
    optim_wrapper = cfg.get("optim_wrapper")
    optim_wrapper = _DEFAULT_OPTIMIZER if optim_wrapper is None else optim_wrapper.to_dict()
    found = {"load": True, "model": model, "optim_wrapper": optim_wrapper, "scope": cfg.get("default_scope")}
    found["trial"] = digest(model, optim_wrapper, found["scope"])
    for mode in ("train", "test"):
        found[mode] = _check(cfg, mode)
    return found


def _check(cfg: Config, mode: str) -> Outcome:
    try:
        check(cfg, mode, files=False)
    except PreflightError as error:
        messages = [problem.message for problem in error.problems]
    except Exception as error:
        messages = [last_line(error)]
    else:
        messages = []
    lacking = [name for message in messages for name in _unknown_names(message)]
    others = [message for message in messages if not _UNKNOWN.search(message)]
    return {"lacking": list(dict.fromkeys(lacking)), "problems": others}


def _unknown_names(message: str) -> Iterator[str]:
    for first, second in _UNKNOWN.findall(message):
        yield (first or second).rpartition(".")[2]


def run(model: Outcome, optim_wrapper: Outcome, scope: str | None) -> Outcome:
    """Build a model and take one training step and one prediction with it.

    Returns:
        `build`, `train` and `predict` as far as it came, True or False; `reason` of the first failure,
        `lacking` if that was an unknown type; `parameters` and `seconds`.
    """
    torch.manual_seed(0)
    logging.disable(logging.WARNING)
    start = time.perf_counter()
    outcome: Outcome = {"build": False, "train": False, "predict": False}
    sizes = sizes_for(model)
    shrink_batches(model, sizes[0])
    with DefaultScope.overwrite_default_scope(scope or "mmdet"):
        with _step(outcome, "build"):
            built = MODELS.build(ConfigDict(model))
            _initialise(built)
            outcome["parameters"] = sum(one.numel() for one in built.parameters())
        if outcome["build"]:
            with _step(outcome, "train"):
                _train(built, ConfigDict(optim_wrapper), batch(model, sizes))
            with _step(outcome, "predict"):
                _predict(built, batch(model, sizes))
    outcome["seconds"] = round(time.perf_counter() - start, 2)
    return outcome


def _initialise(model: Any) -> None:
    """What the Runner does, and what loading trained weights would do.

    Convolutions that standardise their weights take their scale from the weights that they load; without
    it, activations grow with each layer until nothing is finite.
    """
    model.init_weights()
    weights = {key: value for key, value in model.state_dict().items() if not key.endswith(_SCALES)}
    model.load_state_dict(weights, strict=False)


def _train(model: Any, optim_wrapper: Outcome, data: Outcome) -> None:
    wrapper = build_optim_wrapper(model, optim_wrapper)
    model.train()
    for module in model.modules():
        # Without pretrained statistics, norms that are frozen let activations grow without end.
        if isinstance(module, _BatchNorm):
            module.train()
    before = {name: one.detach().clone() for name, one in model.named_parameters() if one.requires_grad}
    log = model.train_step(data, wrapper)
    bad = [name for name, value in log.items() if not torch.isfinite(value).all()]
    if bad:
        raise ValueError(f"not finite: {', '.join(bad)}")
    if not any((one != before[name]).any() for name, one in model.named_parameters() if name in before):
        raise ValueError("the training step changed no weight")


def _predict(model: Any, data: Outcome) -> None:
    model.eval()
    with torch.no_grad():
        samples = model.test_step(data)
    if len(samples) != len(data["inputs"]):
        raise ValueError(f"{len(samples)} predictions for {len(data['inputs'])} pictures")
    found = [name for name in samples[0].keys() if name.startswith("pred_")]  # noqa: SIM118
    if not found:
        raise ValueError("the data samples hold no prediction")


@contextmanager
def _step(outcome: Outcome, name: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        text = last_line(error)
        lacking = list(_unknown_names(str(error)))
        outcome.setdefault("reason", f"{name}: {text}")
        outcome.setdefault("lacking", lacking[:1])
    else:
        outcome[name] = True


def last_line(error: BaseException) -> str:
    """The kind of an error and the last line of what it says, with the place in our code."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    text = lines[-1].strip() if lines else ""
    place = ""
    trace = error.__traceback__
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if "toolkit" in file.parts:
            place = f" ({file.name}:{trace.tb_lineno})"
        trace = trace.tb_next
    text = _FOLDERS.sub("", text)
    return f"{type(error).__name__}: {text[:300]}{place}"
