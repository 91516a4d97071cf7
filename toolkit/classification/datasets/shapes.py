"""The embedded classification dataset: one shape an image, drawn when it is asked for."""

from __future__ import annotations

from typing import Any

from toolkit.classification.datasets.base import BaseClsDataset
from toolkit.classification.registry import DATASETS
from toolkit.dataset.shapes_files import ShapesSource
from toolkit.dataset.shapes_render import CLASSES
from toolkit.utils.errors import DataError


@DATASETS.register_module()
class ShapesClassification(BaseClsDataset):
    """A circle, a square or a triangle on a textured background; which of them is the label.

    Needs no disk and no network: an image is computed from (seed, split, index), the same on every machine.
    Its path is an address that `LoadImageFromFile` opens as it opens any other.

    Args:
        num_images: Number of images.
        size: Width and height in pixels.
        radius: Smallest and largest radius of the shape, relative to the shorter side.
        split: Any name, such as 'train', 'val' or 'test'. Splits have no image in common.
        seed: Seed of the whole dataset.
        **kwargs: Of `BaseClsDataset`.

    Raises:
        DataError: A size or number makes no sense.
    """

    METAINFO = {"classes": CLASSES}

    def __init__(
        self,
        num_images: int = 1000,
        size: tuple[int, int] = (32, 32),
        radius: tuple[float, float] = (0.25, 0.42),
        split: str = "train",
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        if num_images < 1 or min(size) < 8 or not 0 < radius[0] <= radius[1] < 0.45:
            raise DataError(
                f"ShapesClassification got num_images={num_images}, size={size}, radius={radius}; it "
                f"takes a positive "
                "number, (width, height) of at least 8 pixels, and 0 < smallest <= largest radius < 0.45"
            )
        self.num_images = num_images
        self.source = ShapesSource(split, seed, (size[0], size[1]), (1, 1), (radius[0], radius[1]))
        super().__init__(**kwargs)

    def load_data_list(self) -> list[dict]:
        """The addresses of all images; a label is found when its image is drawn."""
        return [{"img_path": self.source.address(index), "img_id": index} for index in range(self.num_images)]

    def get_data_info(self, idx: int) -> dict:
        """The sample with its `gt_label`."""
        info = super().get_data_info(idx)
        info["gt_label"] = int(self.source.render(info["img_id"]).labels[0])
        return info
