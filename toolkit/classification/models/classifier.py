"""The classifier of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from toolkit.classification.registry import MODELS
from toolkit.classification.structures import DataSample
from toolkit.model import BaseModel
from toolkit.utils.errors import BuildError

_STAGES = ("backbone", "neck", "pre_logits")


def _built(part: Any) -> Any:
    return part if part is None or isinstance(part, nn.Module) else MODELS.build(part)


@MODELS.register_module()
class ImageClassifier(BaseModel):
    """A backbone, an optional neck and a head.

    Args:
        backbone: Images to feature maps.
        neck: Feature maps to feature vectors.
        head: Feature vectors to scores; None for a model that only gives features.
        pretrained: A checkpoint; the older spelling of `init_cfg=dict(type='Pretrained', checkpoint=...)`.
        train_cfg: `augments`: batch augmentations such as `dict(type='Mixup', alpha=0.2)`, and their `probs`.
        data_preprocessor: Its config; the type is `ClsDataPreprocessor` by default.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        backbone: Mapping[str, Any] | nn.Module,
        neck: Mapping[str, Any] | nn.Module | None = None,
        head: Mapping[str, Any] | nn.Module | None = None,
        pretrained: str | None = None,
        train_cfg: Mapping[str, Any] | None = None,
        data_preprocessor: Mapping[str, Any] | nn.Module | None = None,
        init_cfg: Any = None,
    ) -> None:
        if pretrained is not None:
            if init_cfg is not None:
                raise BuildError(f"set pretrained ({pretrained!r}) or init_cfg of a classifier, not both")
            init_cfg = {"type": "Pretrained", "checkpoint": pretrained}
        if not isinstance(data_preprocessor, nn.Module):
            settings: dict[str, Any] = {"type": "ClsDataPreprocessor", **(data_preprocessor or {})}
            if train_cfg:
                settings.setdefault("batch_augments", train_cfg)
            data_preprocessor = MODELS.build(settings)
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)  # type: ignore[arg-type]
        self.backbone = _built(backbone)
        # No attribute where there is none: its keys would be missing in checkpoints all the same.
        if neck is not None:
            self.neck = _built(neck)
        if head is not None:
            self.head = _built(head)

    @property
    def with_neck(self) -> bool:
        """Whether there is a neck."""
        return hasattr(self, "neck")

    @property
    def with_head(self) -> bool:
        """Whether there is a head."""
        return hasattr(self, "head")

    def forward(
        self, inputs: Tensor, data_samples: Sequence[DataSample] | None = None, mode: str = "tensor"
    ) -> Any:
        """Losses, predictions or scores.

        Args:
            inputs: Images, (N, C, H, W).
            data_samples: A sample an image; with labels for the losses.
            mode: 'loss' for a dict of losses, 'predict' for a list of samples with `pred_score` and
                `pred_label`, 'tensor' for scores (features, where there is no head).
        """
        if mode == "loss":
            return self.loss(inputs, data_samples or [])
        if mode == "predict":
            return self.predict(inputs, data_samples)
        if mode != "tensor":
            raise ValueError(f"mode must be 'loss', 'predict' or 'tensor', got {mode!r}")
        feats = self.extract_feat(inputs)
        return self.head(feats) if self.with_head else feats

    def extract_feat(self, inputs: Tensor, stage: str = "neck") -> Any:
        """Features after the backbone, the neck, or what the head does before its scores ('pre_logits')."""
        if stage not in _STAGES:
            raise ValueError(f"stage must be one of {', '.join(_STAGES)}, got {stage!r}")
        feats = self.backbone(inputs)
        if stage == "backbone":
            return feats
        if self.with_neck:
            feats = self.neck(feats)
        return feats if stage == "neck" else self.head.pre_logits(feats)

    def loss(self, inputs: Tensor, data_samples: Sequence[DataSample]) -> dict[str, Tensor]:
        """The head's losses on a batch of images (N, C, H, W)."""
        return self.head.loss(self.extract_feat(inputs), data_samples)

    def predict(
        self, inputs: Tensor, data_samples: Sequence[DataSample] | None = None, **kwargs: Any
    ) -> list[DataSample]:
        """The head's predictions on a batch of images (N, C, H, W)."""
        return self.head.predict(self.extract_feat(inputs), data_samples, **kwargs)
