"""The template of two-stage detectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from toolkit.detection.models.detectors.base import BaseDetector, Cfg, class_agnostic, renamed_keys
from toolkit.detection.models.detectors.first_version import two_stage_of_1x
from toolkit.detection.models.utils import with_settings
from toolkit.detection.registry import MODELS
from toolkit.detection.structures import DetDataSample
from toolkit.structures import InstanceData
from toolkit.utils import DataError


@MODELS.register_module()
class TwoStageDetector(BaseDetector):
    """Backbone, neck, a region proposal network and a RoI head.

    State-dict keys: ``backbone.*``, ``neck.*``, ``rpn_head.*``, ``roi_head.*``. The head of a one-stage
    detector (``bbox_head.*``) loads into ``rpn_head``.

    Args:
        backbone: Config of the backbone.
        neck: Config of the neck.
        rpn_head: Config of the first stage. Without it proposals come with the data samples.
        roi_head: Config of the second stage.
        train_cfg: ``rpn``, ``rpn_proposal`` (the proposals while training) and ``rcnn``.
        test_cfg: ``rpn`` and ``rcnn``.
        data_preprocessor: See `BaseModel`.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        backbone: Cfg,
        neck: Cfg | None = None,
        rpn_head: Cfg | None = None,
        roi_head: Cfg | None = None,
        train_cfg: Cfg | None = None,
        test_cfg: Cfg | None = None,
        data_preprocessor: Any = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        train, test = train_cfg or {}, test_cfg or {}
        self.backbone = MODELS.build(backbone)
        if neck is not None:
            self.neck = MODELS.build(neck)
        if rpn_head is not None:
            self.rpn_head = MODELS.build(
                with_settings(rpn_head, train_cfg=train.get("rpn"), test_cfg=test.get("rpn"), num_classes=1)
            )
        if roi_head is not None:
            self.roi_head = MODELS.build(
                with_settings(roi_head, train_cfg=train.get("rcnn"), test_cfg=test.get("rcnn"))
            )
        self.train_cfg, self.test_cfg = train_cfg, test_cfg

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        renamed_keys(state_dict, prefix, "bbox_head", "rpn_head")
        super()._load_from_state_dict(state_dict, prefix, *args)

    def upgrade_weights(self, weights: Mapping[str, Tensor], meta: Mapping[str, Any]) -> Mapping[str, Tensor]:
        """See `BaseDetector`."""
        return two_stage_of_1x(weights, meta)

    @property
    def with_rpn(self) -> bool:
        """Whether it proposes regions itself."""
        return hasattr(self, "rpn_head")

    @property
    def with_roi_head(self) -> bool:
        """Whether there is a second stage."""
        return hasattr(self, "roi_head")

    def loss(self, batch_inputs: Tensor, batch_data_samples: Sequence[DetDataSample]) -> dict[str, Any]:
        """Losses of both stages; those of the first have ``rpn`` in their names."""
        x = self.extract_feat(batch_inputs)
        losses: dict[str, Any] = {}
        if self.with_rpn:
            train, test = self.train_cfg or {}, self.test_cfg or {}
            rpn_losses, proposals = self.rpn_head.loss_and_predict(
                x, class_agnostic(batch_data_samples), proposal_cfg=train.get("rpn_proposal", test.get("rpn"))
            )
            for name, value in rpn_losses.items():
                losses[name if "loss" not in name or "rpn" in name else f"rpn_{name}"] = value
        else:
            proposals = _given_proposals(batch_data_samples)
        if self.with_roi_head:
            losses.update(self.roi_head.loss(x, proposals, batch_data_samples))
        return losses

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: Sequence[DetDataSample], rescale: bool = True
    ) -> Sequence[DetDataSample]:
        """See `BaseDetector`."""
        x = self.extract_feat(batch_inputs)
        proposals = self._proposals(x, batch_data_samples)
        results = self.roi_head.predict(x, proposals, batch_data_samples, rescale=rescale)
        return self.add_pred_to_datasample(batch_data_samples, results)

    def _proposals(self, x: Sequence[Tensor], samples: Sequence[DetDataSample]) -> list[InstanceData]:
        if self.with_rpn and samples[0].get("proposals") is None:
            return self.rpn_head.predict(x, samples, rescale=False)
        return _given_proposals(samples)

    def _forward(
        self, batch_inputs: Tensor, batch_data_samples: Sequence[DetDataSample] | None = None
    ) -> Any:
        """Logits and regressions of the second stage, for the proposals of the first."""
        x = self.extract_feat(batch_inputs)
        samples = batch_data_samples
        if samples is None:
            shape = tuple(batch_inputs.shape[-2:])
            samples = [DetDataSample(metainfo={"img_shape": shape}) for _ in batch_inputs]
        return (self.roi_head(x, self._proposals(x, samples), samples),)


def _given_proposals(samples: Sequence[DetDataSample]) -> list[InstanceData]:
    if any(sample.get("proposals") is None for sample in samples):
        raise DataError(
            "a detector without rpn_head needs 'proposals' in its data samples; add LoadProposals"
        )
    return [sample.proposals for sample in samples]
