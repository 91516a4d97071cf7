"""Write embedded pictures as PNG files, to infer on: `python tools/export_shapes.py DIR --count 12`."""

import sys
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from toolkit.dataset.shapes_files import ShapesSource, write_shapes


@click.command()
@click.argument("out_dir")
@click.option("--count", type=click.IntRange(min=1), default=12, show_default=True)
@click.option("--split", default="test", show_default=True, help="Pictures of one split are in no other.")
@click.option("--seed", default=0, show_default=True)
def export_shapes(out_dir: str, count: int, split: str, seed: int) -> None:
    """Write COUNT pictures of circles, squares and triangles into OUT_DIR."""
    paths = write_shapes(out_dir, count, ShapesSource(split=split, seed=seed))
    click.echo(f"{len(paths)} pictures in {out_dir}")


if __name__ == "__main__":
    export_shapes()
