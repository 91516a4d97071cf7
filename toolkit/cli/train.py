"""`toolkit-train CONFIG`: train a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from toolkit.cli.common import (
    CONTEXT,
    config_options,
    default_work_dir,
    is_override,
    launcher_option,
    load_config,
    overrides_of,
    shows_errors,
    split_overrides,
)
from toolkit.utils.errors import ConfigError

if TYPE_CHECKING:
    from toolkit.config import Config


@click.command(context_settings=CONTEXT)
@click.argument("config")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--work-dir", metavar="DIR", help="Where logs and checkpoints go (default: work_dirs/NAME).")
@click.option(
    "--resume",
    is_flag=False,
    flag_value="auto",
    metavar="[PATH]",
    help="Go on from the newest checkpoint of the work dir, or from the one given.",
)
@click.option("--load-from", metavar="PATH", help="Start from the weights of a checkpoint.")
@click.option("--amp", is_flag=True, help="Train with automatic mixed precision.")
@click.option("--auto-scale-lr", is_flag=True, help="Scale the learning rate to the real batch size.")
@click.option("--no-validate", is_flag=True, help="Do not validate during training.")
@launcher_option
@click.option("--trust-checkpoint", is_flag=True, help="Unpickle a checkpoint. Only from people you trust.")
@config_options
@shows_errors
def train(config: str, overrides: tuple[str, ...], **options: Any) -> None:
    """Train the model that CONFIG describes.

    KEY=VALUE arguments override values of the config, e.g. `train_cfg.max_epochs=3 data_root=/data/coco`.
    """
    cfg = _train_config(config, overrides, options)
    from toolkit.runner import build_runner

    build_runner(cfg, trust_checkpoint=options["trust_checkpoint"]).train()


def _train_config(config: str, arguments: tuple[str, ...], options: dict[str, Any]) -> Config:
    """Read the config and put what the options stand for into it."""
    positional, overrides = split_overrides(arguments)
    if options["resume"] and is_override(options["resume"]):
        # `--resume a=1`: the PATH of --resume may be left out, and what follows is an override
        overrides, options = [options["resume"], *overrides], {**options, "resume": "auto"}
    if positional:
        raise ConfigError(
            f"{positional[0]!r} is not understood: after the config come overrides of the form KEY=VALUE."
        )
    cfg = load_config(
        config,
        [*options["cfg_options"], *overrides],
        _as_overrides(options),
        trusted=options["trust_config"],
        packages=options["allow_package"],
    )
    if options["no_validate"]:
        for key in ("val_dataloader", "val_cfg", "val_evaluator"):
            cfg[key] = None
    if options["amp"]:
        _use_amp(cfg)
    if not cfg.get("work_dir"):
        cfg["work_dir"] = default_work_dir(config)
    return cfg


def _as_overrides(options: dict[str, Any]) -> dict[str, Any]:
    """The config values that the options stand for."""
    extra = overrides_of(options)
    if options["resume"]:
        extra["resume"] = True
        if options["resume"] != "auto":
            extra["load_from"] = options["resume"]
    elif options["load_from"]:
        extra["load_from"] = options["load_from"]
    if options["auto_scale_lr"]:
        extra["auto_scale_lr.enable"] = True
    return extra


def _use_amp(cfg: Config) -> None:
    """Turn the config's optim wrapper into the mixed-precision one."""
    wrapper = cfg.get("optim_wrapper")
    if not isinstance(wrapper, dict):
        raise ConfigError("--amp needs an `optim_wrapper` dict in the config.")
    if wrapper.get("type", "OptimWrapper") not in ("OptimWrapper", "AmpOptimWrapper"):
        raise ConfigError(
            f"--amp can't be combined with optim_wrapper.type={wrapper['type']!r}; it turns `OptimWrapper` "
            "into `AmpOptimWrapper`. Leave --amp out, or set the type in the config."
        )
    wrapper["type"] = "AmpOptimWrapper"
    wrapper.setdefault("loss_scale", "dynamic")


if __name__ == "__main__":
    train()
