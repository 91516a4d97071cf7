"""`toolkit convert SOURCE TARGET`: make a checkpoint of another library one of ours."""

from __future__ import annotations

from typing import Any

import click

from toolkit.cli.common import CONTEXT, shows_errors
from toolkit.utils.errors import ConfigError


@click.command(context_settings=CONTEXT)
@click.argument("source")
@click.argument("target")
@click.option(
    "--labels",
    default="auto",
    metavar="auto|coco|all|N,N,…",
    show_default=True,
    help="Which of torchvision's labels become the classes 0, 1, …: the 80 that COCO uses, all but "
    "background, or those named. auto: coco if there are 91, else all.",
)
@click.option("--classes", metavar="NAME,NAME,…", help="Names of the classes; COCO's are known.")
@click.option("--bn-eps", type=float, help="What the backbone's norms added to variances, if not the usual.")
@click.option("--trust-checkpoint", is_flag=True, help="Unpickle the source. Only from people you trust.")
@shows_errors
def convert(source: str, target: str, **options: Any) -> None:
    """Convert a detection checkpoint of torchvision.

    SOURCE is a file, a URL, or a name such as torchvision://fasterrcnn_resnet50_fpn; TARGET the .pth file to
    write. Faster R-CNN, Mask R-CNN, RetinaNet and FCOS are recognised by their keys. Checkpoints of
    MMDetection 1.x, 2.x and 3.x need no conversion.
    """
    labels: Any = options["labels"]
    if labels not in ("auto", "coco", "all"):
        labels = _numbers(labels)
    classes = [name.strip() for name in (options["classes"] or "").split(",") if name.strip()]

    from toolkit.detection.checkpoints import convert_checkpoint

    done = convert_checkpoint(
        source,
        target,
        labels=labels,
        classes=classes,
        bn_eps=options["bn_eps"],
        trusted=options["trust_checkpoint"],
    )
    click.echo(f"Written: {target}, a {done.architecture.name} of {len(done.labels)} classes.")
    click.echo(f"A config that gives torchvision's numbers: {done.architecture.config}")


def _numbers(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError as error:
        raise ConfigError(f"--labels takes auto, coco, all or numbers such as 1,2,3; got {text!r}") from error


if __name__ == "__main__":
    convert()
