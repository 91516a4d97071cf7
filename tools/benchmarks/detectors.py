"""Detectors side by side with torchvision's: same weights, batch, frozen layers and norms, in one process.

Each model of torchvision gets random weights; ours gets them converted, under the config in
`configs/torchvision` that computes the same. Both are fed the same pictures as their users would: torchvision
floating-point RGB, ours uint8 BGR. Stem, first stage and all norms' statistics are frozen in both. A training
step is the losses, their gradients and a step of the same optimizer; an inference ends with boxes (and masks)
on the image. The two take turns; medians are shown, and the ratio of ours to torchvision's in each turn.

    python tools/benchmarks/detectors.py [--models retinanet fcos] [--repeats 10] [--size 640] [--batch 2]
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import os
import pstats
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models import detection

from toolkit.config import Config
from toolkit.detection.checkpoints import from_torchvision
from toolkit.detection.masks import BitmapMasks
from toolkit.detection.registry import MODELS
from toolkit.detection.structures import DetDataSample
from toolkit.optim import OptimWrapper
from toolkit.structures import InstanceData

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "torchvision"
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
LABELS = 91
OBJECTS = 8


@dataclass(frozen=True)
class Pair:
    """A model of torchvision and the config of ours that computes the same."""

    make: Callable[..., nn.Module]
    config: str


PAIRS = {
    "faster_rcnn": Pair(detection.fasterrcnn_resnet50_fpn, "faster-rcnn_r50_fpn_coco.py"),
    "mask_rcnn": Pair(detection.maskrcnn_resnet50_fpn, "mask-rcnn_r50_fpn_coco.py"),
    "retinanet": Pair(detection.retinanet_resnet50_fpn, "retinanet_r50_fpn_coco.py"),
    "fcos": Pair(detection.fcos_resnet50_fpn, "fcos_r50_fpn_coco.py"),
}


class Theirs:
    """A model of torchvision in use.

    Args:
        pair: Which.
        data: The pictures.
        device: Where it runs.
    """

    def __init__(self, pair: Pair, data: Batch, device: torch.device) -> None:
        torch.manual_seed(0)
        self.model: Any = pair.make(weights=None, weights_backbone=None, num_classes=LABELS)
        self.model.transform.resize = lambda image, target: (image, target)  # pictures have their size
        body = self.model.backbone.body
        for part in (body.conv1, body.bn1, body.layer1):
            part.requires_grad_(False)
        self.images, self.targets = data.for_torchvision(device)
        self.model.to(device)
        self._find_something()
        self.optimizer = sgd(self.model)

    @torch.no_grad()
    def _find_something(self) -> None:
        """Scale the predicting layers, so that random weights detect a plausible number of things."""
        self.model.eval()
        outputs: dict[str, list[Tensor]] = {}

        def keep(name: str) -> Callable[..., None]:
            return lambda _layer, _input, output: outputs.setdefault(name, []).append(output.flatten())

        for ends, spread, bias in SPREADS:
            layers = {name: one for name, one in self.model.named_modules() if name.endswith(ends)}
            hooks = [one.register_forward_hook(keep(name)) for name, one in layers.items()]
            self.model(self.images)
            for hook in hooks:
                hook.remove()
            for name, layer in layers.items():
                layer.weight *= spread / torch.cat(outputs.pop(name)).std()
                layer.bias.fill_(bias)
                if name.endswith("cls_score"):
                    layer.bias[0] = 5.0  # most of what is proposed is background

    def train(self) -> None:
        """A training step."""
        self.model.train()
        for norm in self.model.backbone.body.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.eval()
        loss = sum(self.model(self.images, self.targets).values())
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    @torch.no_grad()
    def infer(self) -> int:
        """Predictions; how many there are."""
        self.model.eval()
        return sum(len(found["scores"]) for found in self.model(self.images))


# Layers by the ends of their names, the spread that their outputs get, and their biases.
SPREADS = (
    (("rpn.head.cls_logits",), 1.5, -2.0),
    (("rpn.head.bbox_pred",), 0.2, 0.0),
    (("cls_score",), 1.5, 0.0),
    (("classification_head.cls_logits",), 1.0, -5.0),
    (("bbox_ctrness",), 1.0, 0.0),
    (("box_predictor.bbox_pred", "bbox_reg"), 0.2, 0.1),
    (("mask_fcn_logits",), 1.0, 0.0),
)


class Ours:
    """Our model with the weights of one of torchvision's.

    Args:
        pair: Which.
        theirs: Whose weights.
        data: The pictures.
        device: Where it runs.
    """

    def __init__(self, pair: Pair, theirs: Theirs, data: Batch, device: torch.device) -> None:
        two_stage = "rcnn" in pair.config
        done = from_torchvision(theirs.model.state_dict(), "all" if two_stage else range(LABELS))
        cfg = Config.fromfile(CONFIGS / pair.config).model
        cfg.backbone.pop("init_cfg")
        for head in (cfg.get("bbox_head"), *cfg.get("roi_head", {}).values()):
            if head is not None and "num_classes" in head:
                head["num_classes"] = len(done.labels)
        self.model: Any = MODELS.build(cfg)
        self.model.load_state_dict(done.state_dict)
        self.model.to(device)
        self.data = data
        self.shift = done.labels[0]
        self.optim_wrapper = OptimWrapper(sgd(self.model))

    def train(self) -> None:
        """A training step."""
        self.model.train()
        self.model.train_step(self.data.for_ours(self.shift), self.optim_wrapper)

    @torch.no_grad()
    def infer(self) -> int:
        """Predictions; how many there are."""
        self.model.eval()
        return sum(len(one.pred_instances) for one in self.model.test_step(self.data.for_ours(self.shift)))


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer of both."""
    parameters = [one for one in model.parameters() if one.requires_grad]
    return torch.optim.SGD(parameters, lr=1e-6, momentum=0.9, weight_decay=1e-4)


class Batch:
    """Generated pictures with boxes, labels and masks.

    Args:
        count: How many.
        size: Their sides in pixels.
    """

    def __init__(self, count: int, size: int) -> None:
        rng = np.random.default_rng(0)
        coarse = torch.from_numpy(rng.uniform(0, 255, (count, 3, 20, 20)).astype(np.float32))
        smooth = nn.functional.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 255)
        self.images = smooth.round().to(torch.uint8)  # RGB
        self.size = size
        sides = rng.uniform(0.05, 0.5, (count, OBJECTS, 2)) * size
        corners = rng.uniform(0, 1, sides.shape) * (size - sides)
        self.boxes = torch.from_numpy(np.concatenate([corners, corners + sides], -1).astype(np.float32))
        self.labels = torch.from_numpy(rng.integers(1, LABELS, (count, OBJECTS)))
        self.masks = np.zeros((count, OBJECTS, size, size), np.uint8)
        for masks, boxes in zip(self.masks, self.boxes.int().tolist(), strict=True):
            for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
                mask[y1:y2, x1:x2] = 1

    def for_torchvision(self, device: torch.device) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
        """Pictures and annotations as torchvision takes them."""
        targets = [
            {
                "boxes": boxes.to(device),
                "labels": labels.to(device),
                "masks": torch.from_numpy(masks).to(device),
            }
            for boxes, labels, masks in zip(self.boxes, self.labels, self.masks, strict=True)
        ]
        return list((self.images / 255).to(device)), targets

    def for_ours(self, shift: int) -> dict[str, Any]:
        """Pictures and annotations as a dataloader of ours gives them; `shift` is taken from the labels."""
        shape = (self.size, self.size)
        samples = []
        for boxes, labels, masks in zip(self.boxes, self.labels, self.masks, strict=True):
            sample = DetDataSample(metainfo=dict(img_shape=shape, ori_shape=shape, scale_factor=(1.0, 1.0)))
            sample.gt_instances = InstanceData(
                bboxes=boxes, labels=labels - shift, masks=BitmapMasks(masks, *shape)
            )
            samples.append(sample)
        return {"inputs": list(self.images.flip(1)), "data_samples": samples}


@dataclass(frozen=True)
class Timer:
    """Times calls.

    Attributes:
        device: Where they compute.
        clock: Seconds since some time.
        repeats: How many turns count.
    """

    device: torch.device
    clock: Callable[[], float]
    repeats: int

    def milliseconds(self, call: Callable[[], Any]) -> float:
        """How long a call takes."""
        self._finish()
        start = self.clock()
        call()
        self._finish()
        return (self.clock() - start) * 1e3

    def _finish(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def compare(self, theirs: Callable[[], Any], ours: Callable[[], Any]) -> str:
        """Time two calls in turns, and say what came out, as cells of a table."""
        times: list[tuple[float, float]] = []
        for turn in range(self.repeats + 1):
            if turn % 2:
                second, first = self.milliseconds(ours), self.milliseconds(theirs)
            else:
                first, second = self.milliseconds(theirs), self.milliseconds(ours)
            times.append((first, second))
        times = times[1:]  # the first turn is warming up
        first, second = (statistics.median(column) for column in zip(*times, strict=True))
        ratios = sorted(b / a for a, b in times)
        spread = f"{ratios[0]:.2f}–{ratios[-1]:.2f}"
        return f"{first:14.1f} | {second:10.1f} | {statistics.median(ratios):5.2f} ({spread})"


def profiled(call: Callable[[], Any]) -> None:
    """Print where the time of a call goes."""
    call()
    with torch.profiler.profile() as profile:
        call()
    print(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=18, max_name_column_width=40))
    with cProfile.Profile() as functions:
        call()
    pstats.Stats(functions).sort_stats("tottime").print_stats(18)


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=PAIRS, default=list(PAIRS))
    parser.add_argument("--steps", nargs="+", choices=("train", "infer"), default=["train", "infer"])
    parser.add_argument("--repeats", type=int, default=10, help="turns, after one to warm up")
    parser.add_argument("--size", type=int, default=640, help="sides of the pictures; a multiple of 32")
    parser.add_argument("--batch", type=int, default=2, help="pictures in a batch")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of torch")
    parser.add_argument(
        "--clock",
        choices=CLOCKS,
        default="wall",
        help="wall, or cpu: the time that the process computed, which other programs disturb less",
    )
    parser.add_argument("--profile", action="store_true", help="print where the time goes instead")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    options = parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    data = Batch(options.batch, options.size)
    timer = Timer(device, CLOCKS[options.clock], options.repeats)
    print(
        f"torch {torch.__version__}, {device}, {options.threads} threads, {options.batch} pictures of "
        f"{options.size} px, {options.repeats} turns, {options.clock} clock\n"
    )
    print("| model       | step  | torchvision ms | toolkit ms | ratio (range) | detections |")
    print("|-------------|-------|---------------:|-----------:|--------------:|-----------:|", flush=True)
    for name in options.models:
        theirs = Theirs(PAIRS[name], data, device)
        ours = Ours(PAIRS[name], theirs, data, device)
        found = f"{theirs.infer()} / {ours.infer()}"
        for step in options.steps:
            gc.collect()
            first, second = getattr(theirs, step), getattr(ours, step)
            if options.profile:
                for title, call in (("torchvision", first), ("toolkit", second)):
                    print(f"\n== {name}, {step}: {title}")
                    profiled(call)
                continue
            cells = timer.compare(first, second)
            print(f"| {name:11} | {step:5} | {cells} | {found} |", flush=True)


if __name__ == "__main__":
    main()
