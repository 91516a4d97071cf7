"""`toolkit-test CONFIG CHECKPOINT`: evaluate a checkpoint."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli.common import (
    CONFIG_SUFFIXES,
    CONTEXT,
    config_options,
    default_work_dir,
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
@click.argument("arguments", nargs=-1, required=True, metavar="[CONFIG] CHECKPOINT [KEY=VALUE]...")
@click.option("--work-dir", metavar="DIR", help="Where the log goes (default: work_dirs/NAME).")
@click.option(
    "--out",
    metavar="FILE.pkl",
    help="Save the predictions for offline evaluation (of each named set: FILE_NAME.pkl).",
)
@click.option("--show-dir", metavar="DIR", help="Draw the predictions into this folder.")
@click.option(
    "--worst",
    type=click.IntRange(min=1),
    metavar="N",
    help="Into --show-dir go only the N images with the worst F1, mistakes marked, the worst first.",
)
@click.option("--tta", is_flag=True, help="Test several views of each image, and merge what is found.")
@launcher_option
@click.option("--trust-checkpoint", is_flag=True, help="Unpickle a checkpoint. Only from people you trust.")
@config_options
@shows_errors
def test(arguments: tuple[str, ...], **options: Any) -> None:
    """Evaluate CHECKPOINT on the test set of CONFIG.

    CHECKPOINT may be a work directory, which stands for its newest checkpoint. Without CONFIG, the config
    that the checkpoint carries is used. With --tta, the config's tta_model and tta_pipeline are used; a
    config without them is tested on each image and its mirror image.
    """
    positional, overrides = split_overrides(arguments)
    config, checkpoint = _config_and_checkpoint(positional)
    from toolkit.runner import build_runner, find_latest_checkpoint

    checkpoint = find_latest_checkpoint(checkpoint) or checkpoint
    cfg = _test_config(config, checkpoint, [*options["cfg_options"], *overrides], options)
    if options["tta"]:
        _with_views(cfg)
    runner = build_runner(cfg, mode="test", trust_checkpoint=options["trust_checkpoint"])
    if options["out"]:
        from toolkit.evaluator import DumpResults

        stem, suffix = os.path.splitext(options["out"])
        # A loop of one's own may know one evaluator only.
        evaluators = getattr(runner.test_loop, "evaluators", None) or {"": runner.test_evaluator}
        for name, evaluator in evaluators.items():
            path = f"{stem}_{name}{suffix}" if name else options["out"]
            evaluator.metrics.append(DumpResults(out_file_path=path))
    runner.test()


def _with_views(cfg: Config) -> None:
    """Let the config test with its `tta_model` and `tta_pipeline`, or with the image and its mirror image."""
    from toolkit.detection.models.test_time_augs import default_tta
    from toolkit.runner import apply_tta

    apply_tta(cfg, default_tta)


def _config_and_checkpoint(positional: list[str]) -> tuple[str | None, str]:
    if len(positional) == 2:
        return positional[0], positional[1]
    if len(positional) == 1 and not positional[0].endswith(CONFIG_SUFFIXES):
        return None, positional[0]
    raise ConfigError(
        "toolkit-test takes a config and a checkpoint, or a checkpoint alone; got "
        f"{' '.join(positional) or 'neither'}. Example: toolkit-test configs/x.py work_dirs/x/epoch_12.pth"
    )


def _test_config(
    config: str | None, checkpoint: str, overrides: list[str], options: dict[str, Any]
) -> Config:
    extra = overrides_of(options)
    if config is None:
        from toolkit.runner.checkpoint import config_of

        cfg = config_of(checkpoint, overrides=overrides, extra=extra, trusted=options["trust_checkpoint"])
    else:
        cfg = load_config(
            config, overrides, extra, trusted=options["trust_config"], packages=options["allow_package"]
        )
    cfg["load_from"], cfg["resume"] = checkpoint, False
    if not cfg.get("work_dir"):
        cfg["work_dir"] = default_work_dir(config) if config else os.path.dirname(checkpoint) or "."
    if options["show_dir"]:
        _draw_into(cfg, options["show_dir"], options["worst"])
    elif options["worst"]:
        raise ConfigError("--worst N says what is drawn; say where with --show-dir DIR")
    return cfg


def _draw_into(cfg: Config, folder: str, worst: int | None) -> None:
    """Turn the config's visualization hook on and point it at a folder."""
    hook = (cfg.get("default_hooks") or {}).get("visualization")
    if not isinstance(hook, dict):
        raise ConfigError(
            "--show-dir needs a visualization hook; add "
            "`default_hooks=dict(visualization=dict(type='DetVisualizationHook'))` to the config."
        )
    hook["draw"] = True
    hook["test_out_dir"] = folder
    if worst:
        hook["worst"] = worst


if __name__ == "__main__":
    test()
