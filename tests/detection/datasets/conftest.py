"""A small dataset in VOC's layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

OBJECT = """<object><name>{name}</name><difficult>{difficult}</difficult>
<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>
<bndbox><xmin>{0}</xmin><ymin>{1}</ymin><xmax>{2}</xmax><ymax>{3}</ymax></bndbox></object>"""
SIZE = "<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"

Objects = Sequence[tuple]


class VOCFolder:
    """Writes images and annotations as VOC does."""

    def __init__(self, root: Path, year: str = "VOC2007") -> None:
        self.root, self.year = root, year
        for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
            (root / year / name).mkdir(parents=True, exist_ok=True)

    def add(
        self,
        name: str,
        objects: Objects = (),
        size: tuple[int, int] = (60, 40),
        suffix: str = ".jpg",
        with_size: bool = True,
    ) -> None:
        """Add an image; objects are (class, (xmin, ymin, xmax, ymax), difficult)."""
        width, height = size
        image = np.zeros((height, width, 3), np.uint8)
        cv2.imwrite(str(self.root / self.year / "JPEGImages" / f"{name}{suffix}"), image)
        parts = [SIZE.format(width=width, height=height)] if with_size else []
        parts += [OBJECT.format(*box, name=kind, difficult=int(hard)) for kind, box, hard in objects]
        text = f"<annotation>{''.join(parts)}</annotation>"
        (self.root / self.year / "Annotations" / f"{name}.xml").write_text(text)

    def list(self, split: str, *names: str) -> None:
        """Write the list of a split."""
        (self.root / self.year / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(names) + "\n")

    def config(self, split: str = "trainval", **kwargs: object) -> dict:
        """Arguments of a VOCDataset for a split."""
        return {
            "data_root": str(self.root),
            "ann_file": f"{self.year}/ImageSets/Main/{split}.txt",
            "data_prefix": {"sub_data_root": f"{self.year}/"},
            **kwargs,
        }


@pytest.fixture
def make_voc(tmp_path: Path) -> Callable[..., VOCFolder]:
    """Makes an empty VOC folder."""

    def make(year: str = "VOC2007") -> VOCFolder:
        return VOCFolder(tmp_path / "VOCdevkit", year)

    return make


@pytest.fixture
def pets(make_voc: Callable[..., VOCFolder]) -> VOCFolder:
    """Four images: two objects, one difficult object, none, and one of a class of its own, very small."""
    voc = make_voc()
    voc.add("000001", [("cat", (1, 2, 31, 40), False), ("dog", (10, 10, 14, 30), False)])
    voc.add("000002", [("cat", (5, 5, 20, 20), True)], size=(40, 60), suffix=".png")
    voc.add("000003")
    voc.add("000004", [("zebra", (1, 1, 8, 8), False)], size=(20, 16), with_size=False)
    voc.list("trainval", "000001", "000002", "000003", "", "000004 ")
    voc.list("test", "000002")
    return voc
