"""Preprocessors: from a batch of the dataloader to what a model's `forward` takes, on the model's device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Self

from toolkit.model.utils import padded_size
from toolkit.registry import MODELS
from toolkit.structures import BaseDataElement
from toolkit.utils import ConfigError, DataError


@MODELS.register_module()
class BaseDataPreprocessor(nn.Module):
    """Moves a batch to the device of the model.

    The device (and the memory format, for images) follows the module: it changes with `to`, `cuda` and `cpu`
    of this module or of any module around it.

    Args:
        non_blocking: Copy to the device without waiting; of use where the dataloader pins its memory.
    """

    def __init__(self, non_blocking: bool | None = False) -> None:
        super().__init__()
        self._non_blocking = bool(non_blocking)
        # No buffer shows the device of a module without weights, so a tensor outside of the state follows it.
        self._probe = torch.empty(1, 2, 2, 2)
        self._device = self._probe.device

    @property
    def device(self) -> torch.device:
        """Where batches are moved to."""
        return self._device

    @property
    def memory_format(self) -> torch.memory_format:
        """`torch.channels_last` after ``model.to(memory_format=torch.channels_last)``, else contiguous."""
        if self._probe.is_contiguous():
            return torch.contiguous_format
        return torch.channels_last

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._probe = fn(self._probe)
        self._device = self._probe.device
        return super()._apply(fn, recurse)

    def cast_data(self, data: Any) -> Any:
        """Move all tensors and data elements in nested dicts, lists and tuples to the device.

        What is there already is not copied; other values are passed through.
        """
        return _moved(data, self._device, self._non_blocking)

    def forward(self, data: Any, training: bool = False) -> Any:
        """The batch on the device. Subclasses prepare it, and may augment it where `training` is set."""
        return self.cast_data(data)


def _moved(data: Any, device: torch.device, non_blocking: bool) -> Any:
    if isinstance(data, dict):
        return {key: _moved(value, device, non_blocking) for key, value in data.items()}
    if isinstance(data, Tensor):
        return data if data.device == device else data.to(device, non_blocking=non_blocking)
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(_moved(value, device, non_blocking) for value in data))
    if isinstance(data, (list, tuple)):
        return type(data)([_moved(value, device, non_blocking) for value in data])
    if isinstance(data, BaseDataElement):
        return data if _is_on(data, device) else data.to(device, non_blocking=non_blocking)
    return data


def _is_on(element: Any, device: torch.device) -> bool:
    # Copying a data element costs far more than looking through it, and on a CPU there is nothing to copy.
    for value in element.values():
        if isinstance(value, Tensor):
            if value.device != device:
                return False
        elif isinstance(value, BaseDataElement):
            if not _is_on(value, device):
                return False
        elif hasattr(value, "to"):
            return False
    return True


@MODELS.register_module()
class ImgDataPreprocessor(BaseDataPreprocessor):
    """Images of any sizes and dtypes to one normalised float batch on the device.

    Images arrive as they were stored, usually uint8, which is a quarter of what float would take to move;
    channel order, normalisation and padding are done on the device, into one batch that is allocated once.

    Args:
        mean: Subtracted from each channel: 1 or 3 values, in the order of the output's channels.
        std: Divided by, likewise. Both or neither.
        pad_size_divisor: Height and width are padded at the bottom and right to a multiple of it.
        pad_value: What the padding holds, after normalisation.
        bgr_to_rgb: Reverse the order of three channels.
        rgb_to_bgr: The same; only one of the two may be set.
        non_blocking: See `BaseDataPreprocessor`.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        pad_size_divisor: int = 1,
        pad_value: float = 0,
        bgr_to_rgb: bool = False,
        rgb_to_bgr: bool = False,
        non_blocking: bool | None = False,
    ) -> None:
        super().__init__(non_blocking)
        if bgr_to_rgb and rgb_to_bgr:
            raise ConfigError("bgr_to_rgb and rgb_to_bgr undo each other; set one of them")
        if (mean is None) != (std is None):
            raise ConfigError(f"mean and std go together; got mean={mean!r}, std={std!r}")
        self._enable_normalize = mean is not None and std is not None
        if mean is not None and std is not None:
            for name, values in (("mean", mean), ("std", std)):
                if len(values) not in (1, 3):
                    raise ConfigError(
                        f"{name} needs 1 value (grey) or 3 (colour), got {len(values)}: {values!r}"
                    )
                tensor = torch.tensor(list(values), dtype=torch.float32).view(-1, 1, 1)
                self.register_buffer(name, tensor, persistent=False)
        self._channel_conversion = bgr_to_rgb or rgb_to_bgr
        self.pad_size_divisor = pad_size_divisor
        self.pad_value = pad_value

    def forward(self, data: Any, training: bool = False) -> Any:
        """Prepare ``data['inputs']``: a list of images (C, H, W), or one batch (N, C, H, W).

        Returns:
            A dict with `inputs`, a float32 tensor (N, C, H', W'), and `data_samples` (None where there are
            none).

        Raises:
            DataError: The inputs are neither, or have not the channels that `mean` is for.
        """
        data = self.cast_data(data)
        if not isinstance(data, dict) or "inputs" not in data:
            raise DataError(
                f"{type(self).__name__} needs a batch that is a dict with 'inputs', got {type(data).__name__}"
            )
        inputs = data["inputs"]
        if isinstance(inputs, Tensor) and inputs.dim() == 4:
            data["inputs"] = self._prepare_batch(inputs)
        elif isinstance(inputs, (list, tuple)) and inputs and all(isinstance(img, Tensor) for img in inputs):
            data["inputs"] = self._prepare_list(inputs)
        else:
            found = f"shape {tuple(inputs.shape)}" if isinstance(inputs, Tensor) else type(inputs).__name__
            raise DataError(
                f"inputs of {type(self).__name__} must be a list of (C, H, W) tensors or one (N, C, H, W) "
                f"tensor; got {found}"
            )
        data.setdefault("data_samples", None)
        return data

    def _prepare_batch(self, inputs: Tensor) -> Tensor:
        self._check_channels(inputs.shape[1:])
        height, width = padded_size([inputs.shape[2:]], self.pad_size_divisor)
        is_changed = self._channel_conversion or self._enable_normalize
        if is_changed or (height, width) != tuple(inputs.shape[2:]):
            batch = self._empty(inputs, (*inputs.shape[:2], height, width))
            self._fill(batch, inputs)
        else:
            batch = inputs.float()
        came_last = not inputs.is_contiguous() and inputs.is_contiguous(memory_format=torch.channels_last)
        return batch.contiguous(memory_format=torch.channels_last if came_last else self.memory_format)

    def _prepare_list(self, images: Sequence[Tensor]) -> Tensor:
        for img in images:
            self._check_channels(img.shape)
        size = padded_size([img.shape[1:] for img in images], self.pad_size_divisor)
        batch = self._empty(images[0], (len(images), images[0].shape[0], *size))
        for slot, img in zip(batch, images, strict=True):
            self._fill(slot, img)
        return batch.contiguous(memory_format=self.memory_format)

    @staticmethod
    def _empty(like: Tensor, shape: Sequence[int]) -> Tensor:
        # Filled channel by channel and turned to channels_last as a whole: that is several times faster than
        # arithmetic on interleaved channels.
        return torch.empty(shape, dtype=torch.float32, device=like.device)

    def _fill(self, slot: Tensor, img: Tensor) -> None:
        """Write images (..., C, H, W) into their place (..., C, H', W') in the batch, normalised."""
        height, width = img.shape[-2:]
        area = slot[..., :height, :width]
        if self._channel_conversion:
            for channel in range(3):
                area.select(-3, channel).copy_(img.select(-3, 2 - channel))
        else:
            area.copy_(img)
        if self._enable_normalize:
            area.sub_(self.mean).div_(self.std)
        if width < slot.shape[-1]:
            slot[..., :height, width:] = self.pad_value
        if height < slot.shape[-2]:
            slot[..., height:, :] = self.pad_value

    def _check_channels(self, shape: Sequence[int]) -> None:
        if len(shape) != 3:
            raise DataError(f"an image must have the shape (C, H, W), got {tuple(shape)}")
        needed = self.mean.shape[0] if self._enable_normalize else 1
        if (needed == 3 or self._channel_conversion) and shape[0] != 3:
            raise DataError(
                f"{type(self).__name__} is set up for 3 channels (mean, std or channel order), "
                f"but an image has {shape[0]}: shape {tuple(shape)}"
            )
