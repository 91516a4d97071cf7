"""Small parts around torch."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch import nn

from toolkit.utils.dl_utils import (
    TORCH_VERSION,
    TimeCounter,
    collect_env,
    has_batch_norm,
    is_jit_tracing,
    is_norm,
    tensor2imgs,
    torch_meshgrid,
)


def test_norms() -> None:
    for layer in (nn.BatchNorm2d(1), nn.InstanceNorm1d(1), nn.GroupNorm(1, 1), nn.LayerNorm(1)):
        assert is_norm(layer)
        assert not is_norm(layer, exclude=type(layer))
    assert not is_norm(nn.Conv2d(1, 1, 1))
    with pytest.raises(TypeError):
        is_norm(nn.LayerNorm(1), exclude="LayerNorm")  # type: ignore[arg-type]
    assert has_batch_norm(nn.Sequential(nn.Sequential(nn.BatchNorm1d(1))))
    assert not has_batch_norm(nn.Sequential(nn.GroupNorm(1, 1)))


def test_images_of_tensors_undo_the_normalisation() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), dtype=np.uint8)
    mean, std = (120.0, 110.0, 100.0), (58.0, 57.0, 56.0)
    rgb = torch.from_numpy(images[..., ::-1].copy()).permute(0, 3, 1, 2).float()
    normal = (rgb - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    back = tensor2imgs(normal, mean, std, to_bgr=True)
    for one, image in zip(back, images, strict=True):
        assert one.dtype == np.uint8
        assert one.flags.c_contiguous
        assert np.abs(one.astype(int) - image).max() <= 1  # cut off, not rounded
    assert tensor2imgs(torch.full((1, 1, 2, 2), 7.0), to_bgr=False)[0].tolist() == [[[7], [7]], [[7], [7]]]
    for bad in (torch.zeros(3, 2, 2), torch.zeros(1, 2, 2, 2)):
        with pytest.raises(ValueError, match="takes"):
            tensor2imgs(bad)
    with pytest.raises(ValueError, match="to_bgr=False"):
        tensor2imgs(torch.zeros(1, 1, 2, 2))


def test_the_environment() -> None:
    env = collect_env()
    assert env["PyTorch"] == TORCH_VERSION == torch.__version__
    assert {"sys.platform", "Python", "CUDA available", "GCC", "TorchVision", "OpenCV", "toolkit"} <= set(env)


def test_meshgrid_and_tracing() -> None:
    rows, columns = torch_meshgrid(torch.arange(2), torch.arange(3))
    assert rows.tolist() == [[0, 0, 0], [1, 1, 1]]
    assert columns.tolist() == [[0, 1, 2], [0, 1, 2]]
    seen = []

    def traced(x: torch.Tensor) -> torch.Tensor:
        seen.append(is_jit_tracing())
        return x + 1

    torch.jit.trace(traced, torch.zeros(1), check_trace=False)
    assert seen[0] is True
    assert is_jit_tracing() is False


def test_a_time_counter(capsys: pytest.CaptureFixture[str]) -> None:
    @TimeCounter(log_interval=2, warmup_interval=2, tag="counted")
    def function() -> int:
        return 3

    assert [function() for _ in range(4)] == [3] * 4
    lines = capsys.readouterr().out.splitlines()
    assert [re.sub(r"[\d.]+ ms", "T ms", line) for line in lines] == [
        f"[counted]-time per run averaged in the past {count} runs: T ms" for count in (2, 4)
    ]
    for _ in range(2):
        with TimeCounter(tag="block"):
            pass
    assert "past 2 runs" in capsys.readouterr().out
    with pytest.raises(ValueError, match="tag"), TimeCounter():
        pass
    with pytest.raises(ValueError, match="warmup_interval=0"):
        TimeCounter(warmup_interval=0)
