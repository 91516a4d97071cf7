"""`toolkit analyze CONFIG`: what a config's model costs: parameters, multiply-adds, FLOPs, activations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli.common import CONTEXT, load_config, shows_errors, split_overrides
from toolkit.utils.errors import ConfigError

if TYPE_CHECKING:
    from toolkit.config import Config


@click.command(context_settings=CONTEXT)
@click.argument("arguments", nargs=-1, required=True, metavar="CONFIG [KEY=VALUE]...")
@click.option(
    "--shape",
    type=(click.IntRange(min=1), click.IntRange(min=1)),
    metavar="H W",
    help="Size of the picture. If left out, that of the test pipeline, padded as the model pads.",
)
@click.option("--depth", type=click.IntRange(min=0), default=3, show_default=True, help="Of the table.")
@click.option("--arch", is_flag=True, help="Print the model's layers with their numbers too.")
@click.option("--trust-config", is_flag=True, help="Run the config file as plain Python.")
@click.option("--allow-package", multiple=True, metavar="NAME", help="Let `type='NAME.…'` import from there.")
@shows_errors
def analyze(arguments: tuple[str, ...], **options: Any) -> None:
    """Count what the model of CONFIG costs for one picture.

    The model has random weights. What a second stage costs depends on how many proposals it gets.
    """
    positional, overrides = split_overrides(arguments)
    if len(positional) != 1:
        raise ConfigError(f"toolkit analyze takes one config, got {' '.join(positional) or 'none'}")
    cfg = load_config(
        positional[0], overrides, trusted=options["trust_config"], packages=options["allow_package"]
    )
    height, width = options["shape"] or _shape(cfg)

    import torch

    from toolkit.analysis import measure_complexity
    from toolkit.analysis.tables import architecture, readable, table
    from toolkit.infer.load import build_model

    model = build_model(cfg)
    found = measure_complexity(model, torch.randn(1, 3, height, width))
    columns = {
        "parameters": found.params,
        "multiply-adds": found.multiply_adds,
        "FLOPs": found.flops,
        "activations": found.activations,
    }
    click.echo(architecture(model, columns) + "\n" if options["arch"] else "", nl=options["arch"])
    click.echo(table(model, columns, options["depth"]))
    total = ", ".join(f"{readable(numbers[''])} {title}" for title, numbers in columns.items())
    click.echo(f"\n{type(model).__name__} at 3 x {height} x {width}: {total}")
    click.echo("A multiply-add is two FLOPs; convolutions, matrix products and attention are counted.")


def _shape(cfg: Config) -> tuple[int, int]:
    """Height and width of the pictures that the test pipeline gives, padded."""
    from toolkit.infer.load import test_pipeline

    size: tuple[int, int] | None = None
    for step in test_pipeline(cfg):
        name = str(step.get("type")).rpartition(".")[2]
        if name == "Resize" and step.get("scale") is not None:
            scale = step["scale"]
            size = (scale, scale) if isinstance(scale, int) else (scale[1], scale[0])
        elif name == "ResizeEdge" and size is None:
            size = (step["scale"], step["scale"])
        elif name == "CenterCrop":
            crop = step["crop_size"]
            size = (crop, crop) if isinstance(crop, int) else (crop[1], crop[0])
    if size is None:
        raise ConfigError("the test pipeline doesn't say how large pictures are: give --shape HEIGHT WIDTH")
    found = cfg.get("data_preprocessor") or cfg["model"].get("data_preprocessor")
    divisor = int(found.get("pad_size_divisor", 1)) if isinstance(found, Mapping) else 1
    height, width = (-(-int(length) // divisor) * divisor for length in size)
    return height, width


if __name__ == "__main__":
    analyze()
