"""`toolkit-infer CONFIG CHECKPOINT IMAGES…`: predict on images, draw them and write a JSON file."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli.common import (
    CONFIG_SUFFIXES,
    CONTEXT,
    config_options,
    load_config,
    shows_errors,
    split_overrides,
)
from toolkit.utils.errors import ConfigError

if TYPE_CHECKING:
    from toolkit.config import Config


@click.command(context_settings=CONTEXT)
@click.argument("arguments", nargs=-1, required=True, metavar="[CONFIG] CHECKPOINT IMAGES... [KEY=VALUE]...")
@click.option("--out-dir", default="outputs", show_default=True, metavar="DIR", help="Where the results go.")
@click.option("--score-thr", type=float, default=0.3, show_default=True, help="Leave out what scores less.")
@click.option("--batch-size", type=click.IntRange(min=1), default=4, show_default=True)
@click.option("--no-pictures", is_flag=True, help="Write the JSON file only.")
@click.option("--trust-checkpoint", is_flag=True, help="Unpickle a checkpoint. Only from people you trust.")
@config_options
@shows_errors
def infer(arguments: tuple[str, ...], **options: Any) -> None:
    """Predict on IMAGES: files, folders (searched through) and globs.

    Drawn pictures go to DIR/vis, the predictions to DIR/predictions.json.
    Without CONFIG, the config that the checkpoint carries is used.
    """
    positional, overrides = split_overrides(arguments)
    config, checkpoint, images = _split(positional)

    from toolkit.infer import find_images, infer_to_folder, inferencer_from

    paths = find_images(images)
    overrides = [*options["cfg_options"], *overrides]
    inferencer = inferencer_from(
        _config(config, overrides, options),
        checkpoint,
        overrides=overrides if config is None else (),
        device=options["device"],
        trusted=options["trust_checkpoint"],
    )
    failed = infer_to_folder(
        inferencer,
        paths,
        options["out_dir"],
        score_thr=options["score_thr"],
        batch_size=options["batch_size"],
        draw=not options["no_pictures"],
    )
    sys.exit(1 if failed else 0)


def _config(config: str | None, overrides: list[str], options: dict[str, Any]) -> Config | None:
    if config is None:
        return None
    return load_config(config, overrides, trusted=options["trust_config"], packages=options["allow_package"])


def _split(positional: list[str]) -> tuple[str | None, str, list[str]]:
    """Part the arguments into (config or None, checkpoint, images)."""
    config = positional[0] if positional and positional[0].endswith(CONFIG_SUFFIXES) else None
    rest = positional[1:] if config else positional
    if len(rest) < 2:
        raise ConfigError(
            "toolkit-infer takes a checkpoint and at least one image, with the config before them or left "
            f"out; got {' '.join(positional) or 'nothing'}. Example: toolkit-infer configs/x.py x.pth images/"
        )
    return config, rest[0], rest[1:]


if __name__ == "__main__":
    infer()
