"""The embedded detection dataset: shapes that are drawn when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from toolkit.dataset.shapes_files import ShapesSource
from toolkit.dataset.shapes_render import CLASSES, PALETTE
from toolkit.detection.datasets.base import BaseDetDataset
from toolkit.detection.registry import DATASETS
from toolkit.utils import DataError


@DATASETS.register_module(name=["ShapesDataset", "Shapes"])
class ShapesDataset(BaseDetDataset):
    """Circles, squares and triangles on textured backgrounds, with boxes and masks of what is visible.

    Needs no disk and no network: an image is computed from (seed, split, index), the same on every machine.
    Its path is an address like `shapes://train/0/192x192/1-5/0.08-0.22/000017.bmp`, which `LoadImageFromFile`
    opens as it opens any other, so a pipeline for this dataset is a pipeline for files.

    Args:
        num_images: Number of images.
        size: Width and height in pixels.
        num_shapes: Smallest and largest number of shapes an image.
        radius: Smallest and largest radius of a shape, relative to the shorter side.
        split: Any name, such as 'train', 'val' or 'test'. Splits have no image in common.
        seed: Seed of the whole dataset.
        **kwargs: Passed on to `BaseDetDataset`.

    Raises:
        DataError: A size or number makes no sense.
    """

    METAINFO = {"classes": CLASSES, "palette": list(PALETTE)}

    def __init__(
        self,
        num_images: int = 1000,
        size: tuple[int, int] = (192, 192),
        num_shapes: tuple[int, int] = (1, 5),
        radius: tuple[float, float] = (0.08, 0.22),
        split: str = "train",
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        if num_images < 0 or min(size) < 8 or not 0 < num_shapes[0] <= num_shapes[1] <= 254:
            raise DataError(
                f"ShapesDataset got num_images={num_images}, size={size}, num_shapes={num_shapes}; it takes "
                "a number of images, (width, height) of 8 or more, and (least, most) from 1 to 254 shapes."
            )
        if not 0 < radius[0] <= radius[1] < 0.45:
            raise DataError(f"ShapesDataset got radius={radius}; it takes 0 < smallest <= largest < 0.45.")
        self.num_images = num_images
        self.source = ShapesSource(split, seed, tuple(size), tuple(num_shapes), tuple(radius))  # type: ignore[arg-type]
        super().__init__(**kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Addresses and sizes of all images. Their objects are added when a sample is fetched."""
        width, height = self.source.size
        return [
            {"img_id": index, "img_path": self.source.address(index), "height": height, "width": width}
            for index in range(self.num_images)
        ]

    def filter_data(self) -> Sequence[dict[str, Any]]:
        """All samples: every image holds at least one object."""
        return self.data_list

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """The sample with its `instances`, whose `mask` is a (H, W) uint8 bitmap."""
        info = super().get_data_info(idx)
        scene = self.source.render(info["img_id"])
        info["instances"] = [
            {"bbox": box.tolist(), "bbox_label": int(label), "mask": mask, "ignore_flag": 0}
            for box, label, mask in zip(scene.boxes, scene.labels, scene.masks, strict=True)
        ]
        return info
