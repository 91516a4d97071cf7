"""`toolkit publish CHECKPOINT FOLDER`: weights for others, with a model card."""

from __future__ import annotations

from typing import Any

import click

from toolkit.cli.common import CONTEXT, shows_errors
from toolkit.utils.errors import ConfigError


@click.command(context_settings=CONTEXT)
@click.argument("checkpoint")
@click.argument("folder")
@click.option("--name", metavar="NAME", help="Beginning of the file's name (default: the experiment's).")
@click.option("--license", metavar="NAME", help="License of the weights, such as apache-2.0.")
@click.option("--metric", multiple=True, metavar="NAME=VALUE", help="For the model card; repeatable.")
@click.option("--trust-checkpoint", is_flag=True, help="Unpickle the checkpoint. Only from people you trust.")
@shows_errors
def publish(checkpoint: str, folder: str, **options: Any) -> None:
    """Write CHECKPOINT's weights into FOLDER as NAME-HASH.safetensors, and a model card as README.md.

    CHECKPOINT may be a work directory, which stands for its newest checkpoint. Optimizer, log and the like
    are left out; config and classes stay, so that `toolkit test` and `toolkit infer` take the file alone.
    """
    metrics = dict(_metric(text) for text in options["metric"])

    from toolkit.runner.checkpoint import publish_checkpoint

    path = publish_checkpoint(
        checkpoint,
        folder,
        name=options["name"],
        license=options["license"],
        metrics=metrics or None,
        trusted=options["trust_checkpoint"],
    )
    click.echo(f"Written: {path}")
    click.echo(f"Model card: {path.with_name('README.md')}")


def _metric(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError as error:
        raise ConfigError(f"--metric takes NAME=NUMBER, got {text!r}") from error


if __name__ == "__main__":
    publish()
