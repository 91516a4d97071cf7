"""`FlexibleRunner`: the Runner with the name and the arguments that MMEngine gives it for strategies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from toolkit.dist import infer_launcher
from toolkit.registry import RUNNERS
from toolkit.runner import build, options
from toolkit.runner.runner import Runner


@RUNNERS.register_module()
class FlexibleRunner(Runner):
    """A `Runner` whose arguments all have names, and whose launcher is found out.

    Args:
        model: A model, or its config.
        work_dir: Folder of logs and checkpoints.
        strategy: A strategy of `toolkit.runner.strategy`, or its config; by default `SingleDeviceStrategy`,
            or `DDPStrategy` where a launcher has started the process.
        launcher: ``none``, ``pytorch``, ``slurm`` or ``mpi``; by default what the environment says.
        resume: See `Runner`; a path is what to resume from.
        compile: True, or arguments of `torch.compile`, to compile the training step.
        cfg: The whole config.
        **kwargs: The other arguments of `Runner`.

    Raises:
        ToolkitError: An argument is wrong, or `work_dir` can't be written.
    """

    def __init__(
        self,
        model: nn.Module | Mapping[str, Any],
        *,
        work_dir: str | None = "work_dirs",
        strategy: Any = None,
        launcher: str | None = None,
        resume: bool | str = False,
        compile: bool | Mapping[str, Any] = False,
        cfg: Any = None,
        **kwargs: Any,
    ) -> None:
        if strategy is not None:
            strategy = build.build_strategy(strategy)
        if launcher is None and (strategy is None or strategy.distributed):
            launcher = infer_launcher()
        if isinstance(resume, str):
            kwargs["load_from"], resume = resume, True
        config = options.as_config(cfg)
        if compile:
            config["compile"] = compile
        super().__init__(
            model,
            work_dir,
            strategy=strategy,
            launcher=launcher or "none",
            resume=resume,
            cfg=config,
            **kwargs,
        )
