"""The template of one-stage detectors, and the region proposal network as a detector of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from toolkit.detection.models.dense_heads import SSDHead
from toolkit.detection.models.detectors.base import BaseDetector, Cfg, class_agnostic, renamed_keys
from toolkit.detection.models.detectors.first_version import is_first_version, ssd_of_1x
from toolkit.detection.models.utils import with_settings
from toolkit.detection.registry import MODELS
from toolkit.detection.structures import DetDataSample


@MODELS.register_module()
class SingleStageDetector(BaseDetector):
    """Backbone, neck and a dense head.

    State-dict keys: ``backbone.*``, ``neck.*``, ``bbox_head.*``. The head of an RPN (``rpn_head.*``) loads
    into it.

    Args:
        backbone: Config of the backbone.
        neck: Config of the neck.
        bbox_head: Config of the dense head.
        train_cfg: Of the head.
        test_cfg: Of the head.
        data_preprocessor: See `BaseModel`.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        backbone: Cfg,
        neck: Cfg | None = None,
        bbox_head: Cfg | None = None,
        train_cfg: Cfg | None = None,
        test_cfg: Cfg | None = None,
        data_preprocessor: Any = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.backbone = MODELS.build(backbone)
        if neck is not None:
            self.neck = MODELS.build(neck)
        self.train_cfg, self.test_cfg = train_cfg, test_cfg
        self.bbox_head = MODELS.build(with_settings(bbox_head or {}, train_cfg=train_cfg, test_cfg=test_cfg))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        renamed_keys(state_dict, prefix, "rpn_head", "bbox_head")
        upgrade = getattr(self.neck, "upgrade_detector", None) if self.with_neck else None
        if upgrade is not None:
            upgrade(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def upgrade_weights(self, weights: Mapping[str, Tensor], meta: Mapping[str, Any]) -> Mapping[str, Tensor]:
        """See `BaseDetector`."""
        if is_first_version(meta) and isinstance(self.bbox_head, SSDHead):
            return ssd_of_1x(weights, self.bbox_head.cls_out_channels)
        return weights

    def loss(self, batch_inputs: Tensor, batch_data_samples: Sequence[DetDataSample]) -> dict[str, Any]:
        """See `BaseDetector`."""
        return self.bbox_head.loss(self.extract_feat(batch_inputs), batch_data_samples)

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: Sequence[DetDataSample], rescale: bool = True
    ) -> Sequence[DetDataSample]:
        """See `BaseDetector`."""
        results = self.bbox_head.predict(self.extract_feat(batch_inputs), batch_data_samples, rescale=rescale)
        return self.add_pred_to_datasample(batch_data_samples, results)

    def _forward(
        self, batch_inputs: Tensor, batch_data_samples: Sequence[DetDataSample] | None = None
    ) -> Any:
        return self.bbox_head(self.extract_feat(batch_inputs))


@MODELS.register_module()
class RPN(SingleStageDetector):
    """A region proposal network (Ren et al., "Faster R-CNN", 2015): all objects are of class 0.

    Args:
        backbone: Config of the backbone.
        neck: Config of the neck.
        rpn_head: Config of the head, kept as ``bbox_head``.
        train_cfg: ``rpn``: that of the head.
        test_cfg: ``rpn``: that of the head.
        data_preprocessor: See `BaseModel`.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        backbone: Cfg,
        neck: Cfg | None,
        rpn_head: Cfg,
        train_cfg: Cfg | None,
        test_cfg: Cfg,
        data_preprocessor: Any = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(
            backbone,
            neck,
            with_settings(rpn_head, num_classes=1),
            None if train_cfg is None else train_cfg["rpn"],
            test_cfg["rpn"],
            data_preprocessor,
            init_cfg,
        )

    def loss(self, batch_inputs: Tensor, batch_data_samples: Sequence[DetDataSample]) -> dict[str, Any]:
        """See `BaseDetector`."""
        return super().loss(batch_inputs, class_agnostic(batch_data_samples))
