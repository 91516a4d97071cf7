"""From a batch of the dataloader to what a detector takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.detection.models.utils import get_box_tensor
from toolkit.detection.registry import MODELS
from toolkit.detection.structures import DetDataSample
from toolkit.model import ImgDataPreprocessor
from toolkit.structures import InstanceData


@MODELS.register_module()
class DetDataPreprocessor(ImgDataPreprocessor):
    """Images to one normalised, padded batch; annotations to the same size.

    Each data sample gets the metainfo ``batch_input_shape``, height and width of the batch, and
    ``pad_shape``, those of its own image after padding to `pad_size_divisor`.

    Args:
        mean: See `ImgDataPreprocessor`.
        std: See `ImgDataPreprocessor`.
        pad_size_divisor: See `ImgDataPreprocessor`.
        pad_value: See `ImgDataPreprocessor`.
        pad_mask: Pad masks of instances to the size of the batch.
        mask_pad_value: With this.
        pad_seg: Pad semantic maps to the size of the batch.
        seg_pad_value: With this.
        bgr_to_rgb: See `ImgDataPreprocessor`.
        rgb_to_bgr: See `ImgDataPreprocessor`.
        boxtype2tensor: Unwrap boxes that come as objects around a tensor.
        non_blocking: See `ImgDataPreprocessor`.
        batch_augments: Configs of modules that change batches while training: they take and give the images
            and the data samples.
    """

    def __init__(
        self,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        pad_size_divisor: int = 1,
        pad_value: float = 0,
        pad_mask: bool = False,
        mask_pad_value: int = 0,
        pad_seg: bool = False,
        seg_pad_value: int = 255,
        bgr_to_rgb: bool = False,
        rgb_to_bgr: bool = False,
        boxtype2tensor: bool = True,
        non_blocking: bool | None = False,
        batch_augments: Sequence[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(mean, std, pad_size_divisor, pad_value, bgr_to_rgb, rgb_to_bgr, non_blocking)
        self.pad_mask, self.mask_pad_value = pad_mask, mask_pad_value
        self.pad_seg, self.seg_pad_value = pad_seg, seg_pad_value
        self.boxtype2tensor = boxtype2tensor
        self.batch_augments = None
        if batch_augments is not None:
            self.batch_augments = nn.ModuleList(MODELS.build(cfg) for cfg in batch_augments)

    def forward(self, data: Any, training: bool = False) -> Any:
        """Prepare a batch.

        Args:
            data: `inputs`, a list of images (C, H, W) or a batch (N, C, H, W), and `data_samples`.
            training: Whether `batch_augments` run.

        Returns:
            `inputs`, float32 (N, C, H', W'), and `data_samples`.
        """
        sizes = [tuple(image.shape[-2:]) for image in data["inputs"]]
        data = super().forward(data, training)
        inputs, samples = data["inputs"], data["data_samples"]
        if samples is not None:
            self._annotate(inputs, samples, sizes)
        if training and self.batch_augments is not None:
            for augment in self.batch_augments:
                inputs, samples = augment(inputs, samples)
        return {**data, "inputs": inputs, "data_samples": samples}

    def _annotate(
        self, inputs: Tensor, samples: Sequence[DetDataSample], sizes: list[tuple[int, ...]]
    ) -> None:
        divisor = self.pad_size_divisor
        shape = tuple(inputs.shape[-2:])
        for sample, size in zip(samples, sizes, strict=True):
            padded = tuple(-(-side // divisor) * divisor for side in size)
            sample.set_metainfo({"batch_input_shape": shape, "pad_shape": padded})
        if self.boxtype2tensor:
            unwrap_boxes(samples)
        if self.pad_mask:
            pad_gt_masks(samples, shape, self.mask_pad_value)
        if self.pad_seg:
            pad_gt_sem_seg(samples, shape, self.seg_pad_value)


def unwrap_boxes(samples: Sequence[DetDataSample]) -> None:
    """Replace boxes that are objects around a tensor by the tensor, in place."""
    for sample in samples:
        for name in ("gt_instances", "ignored_instances", "pred_instances", "proposals"):
            instances: InstanceData | None = sample.get(name)
            if instances is not None and "bboxes" in instances:
                boxes = instances.bboxes
                tensor = get_box_tensor(boxes)
                if tensor is not boxes:
                    instances.bboxes = tensor


def pad_gt_masks(samples: Sequence[DetDataSample], shape: tuple[int, ...], value: int) -> None:
    """Pad the masks of instances at the bottom and right to a height and width, in place."""
    for sample in samples:
        if "gt_instances" in sample and "masks" in sample.gt_instances:
            sample.gt_instances.masks = _padded(sample.gt_instances.masks, shape, value)


def pad_gt_sem_seg(samples: Sequence[DetDataSample], shape: tuple[int, ...], value: int) -> None:
    """Pad semantic maps (1, H, W) at the bottom and right to a height and width, in place."""
    for sample in samples:
        if "gt_sem_seg" in sample:
            # PixelData holds one size, so the map is put in together with those that go with it.
            padded = {key: _padded(one, shape, value) for key, one in sample.gt_sem_seg.items()}
            sample.gt_sem_seg = type(sample.gt_sem_seg)(metainfo=sample.gt_sem_seg.metainfo, **padded)


def _padded(masks: Any, shape: tuple[int, ...], value: int) -> Any:
    if isinstance(masks, Tensor):
        return F.pad(masks, (0, shape[1] - masks.shape[-1], 0, shape[0] - masks.shape[-2]), value=value)
    return masks.pad(shape, pad_val=value)
