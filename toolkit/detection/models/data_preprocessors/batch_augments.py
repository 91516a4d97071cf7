"""Changes of whole batches while training, on the device."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.detection.models.data_preprocessors.data_preprocessor import pad_gt_masks, pad_gt_sem_seg
from toolkit.detection.registry import MODELS
from toolkit.detection.structures import DetDataSample
from toolkit.dist import broadcast
from toolkit.logging import MessageHub

Batch = tuple[Tensor, Sequence[DetDataSample]]


@MODELS.register_module()
class BatchSyncRandomResize(nn.Module):
    """Resizes batches to a size that is drawn anew from time to time, the same on all ranks.

    Args:
        random_size_range: Smallest and largest shorter side in pixels.
        interval: Iterations between draws.
        size_divisor: Sides are multiples of it.
    """

    def __init__(
        self, random_size_range: tuple[int, int], interval: int = 10, size_divisor: int = 32
    ) -> None:
        super().__init__()
        self._interval = interval
        self._size_divisor = size_divisor
        self._steps = (
            round(random_size_range[0] / size_divisor),
            round(random_size_range[1] / size_divisor),
        )
        self._input_size: tuple[int, int] | None = None

    def forward(self, inputs: Tensor, data_samples: Sequence[DetDataSample]) -> Batch:
        """(N, C, H, W) to (N, C, H', W'), with boxes and sizes changed along."""
        height, width = inputs.shape[-2:]
        new = self._input_size or (height, width)
        scale_y, scale_x = new[0] / height, new[1] / width
        if scale_x != 1 or scale_y != 1:
            inputs = F.interpolate(inputs, size=new, mode="bilinear", align_corners=False)
            for sample in data_samples:
                self._resize_sample(sample, scale_y, scale_x)
        iteration = int(MessageHub.get_current_instance().get_info("iter", 0))
        if (iteration + 1) % self._interval == 0:
            self._input_size = self._draw(width / height, inputs.device)
        return inputs, data_samples

    def _resize_sample(self, sample: DetDataSample, scale_y: float, scale_x: float) -> None:
        names = [name for name in ("img_shape", "pad_shape", "batch_input_shape") if name in sample.metainfo]
        sizes = {name: sample.metainfo[name] for name in names}
        sample.set_metainfo({k: (int(h * scale_y), int(w * scale_x)) for k, (h, w, *_) in sizes.items()})
        for name in ("gt_instances", "ignored_instances"):
            if name in sample:
                boxes = getattr(sample, name).bboxes
                getattr(sample, name).bboxes = boxes * boxes.new_tensor([scale_x, scale_y, scale_x, scale_y])

    def _draw(self, aspect_ratio: float, device: torch.device) -> tuple[int, int]:
        short = random.randint(*self._steps)
        size = torch.tensor(
            [self._size_divisor * short, self._size_divisor * int(aspect_ratio * short)], device=device
        )
        broadcast(size, 0)
        height, width = size.tolist()
        return height, width


@MODELS.register_module()
class BatchFixedSizePad(nn.Module):
    """Pads batches at the bottom and right to one size, as models of fixed input size need.

    Args:
        size: Height and width; larger batches stay as they are.
        img_pad_value: Of images.
        pad_mask: Pad masks of instances too.
        mask_pad_value: With this.
        pad_seg: Pad semantic maps too.
        seg_pad_value: With this.
    """

    def __init__(
        self,
        size: tuple[int, int],
        img_pad_value: float = 0,
        pad_mask: bool = False,
        mask_pad_value: int = 0,
        pad_seg: bool = False,
        seg_pad_value: int = 255,
    ) -> None:
        super().__init__()
        self.size = size
        self.img_pad_value = img_pad_value
        self.pad_mask, self.mask_pad_value = pad_mask, mask_pad_value
        self.pad_seg, self.seg_pad_value = pad_seg, seg_pad_value

    def forward(self, inputs: Tensor, data_samples: Sequence[DetDataSample] | None = None) -> Batch:
        """(N, C, H, W) to (N, C, H', W') of at least `size`."""
        height, width = inputs.shape[-2:]
        shape = (max(height, self.size[0]), max(width, self.size[1]))
        samples = data_samples or ()
        if shape == (height, width):
            return inputs, samples
        inputs = F.pad(inputs, (0, shape[1] - width, 0, shape[0] - height), value=self.img_pad_value)
        for sample in samples:
            sample.set_metainfo({"batch_input_shape": shape, "pad_shape": shape})
        if self.pad_mask:
            pad_gt_masks(samples, shape, self.mask_pad_value)
        if self.pad_seg:
            pad_gt_sem_seg(samples, shape, self.seg_pad_value)
        return inputs, samples
