"""Proposals that are learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from toolkit.detection.models.utils import bbox_cxcywh_to_xyxy
from toolkit.detection.registry import MODELS
from toolkit.detection.structures import DetDataSample
from toolkit.model import BaseModule
from toolkit.structures import InstanceData
from toolkit.utils import BuildError


@MODELS.register_module()
class EmbeddingRPNHead(BaseModule):
    """The same proposals for every image, at first the whole of it (Sun et al., "Sparse R-CNN", 2020).

    State-dict keys: ``init_proposal_bboxes.weight`` (cx, cy, w, h from 0 to 1) and
    ``init_proposal_features.weight``.

    Args:
        num_proposals: How many.
        proposal_feature_channel: Channels of the features of each.
        init_cfg: Only None: it initialises itself.
        train_cfg: What a detector gives every first stage; not used, as the following two.
        test_cfg: See above.
        num_classes: See above.

    Raises:
        BuildError: `init_cfg` is given.
    """

    def __init__(
        self,
        num_proposals: int = 100,
        proposal_feature_channel: int = 256,
        init_cfg: Any = None,
        train_cfg: Any = None,
        test_cfg: Any = None,
        num_classes: int = 1,
    ) -> None:
        if init_cfg is not None:
            raise BuildError(f"EmbeddingRPNHead initialises itself: take away init_cfg={init_cfg!r}")
        super().__init__(init_cfg)
        self.num_proposals = num_proposals
        self.init_proposal_bboxes = nn.Embedding(num_proposals, 4)
        self.init_proposal_features = nn.Embedding(num_proposals, proposal_feature_channel)

    def init_weights(self) -> None:
        """Boxes of the whole image."""
        super().init_weights()
        nn.init.constant_(self.init_proposal_bboxes.weight[:, :2], 0.5)
        nn.init.constant_(self.init_proposal_bboxes.weight[:, 2:], 1)

    def predict(
        self, x: Sequence[Tensor], batch_data_samples: Sequence[DetDataSample], **kwargs: Any
    ) -> list[InstanceData]:
        """Proposals of each image.

        Args:
            x: Feature maps; only their device is looked at.
            batch_data_samples: ``img_shape`` of each image.
            **kwargs: Not used.

        Returns:
            ``bboxes`` (Q, 4) in pixels, ``imgs_whwh`` (Q, 4), the image's width and height twice, and
            ``features`` (Q, proposal_feature_channel).
        """
        boxes = bbox_cxcywh_to_xyxy(self.init_proposal_bboxes.weight)
        results = []
        for sample in batch_data_samples:
            height, width = sample.metainfo["img_shape"][:2]
            whwh = x[0].new_tensor([width, height, width, height])
            results.append(
                InstanceData(
                    bboxes=boxes * whwh,
                    imgs_whwh=whwh.expand(self.num_proposals, 4),
                    features=self.init_proposal_features.weight,
                )
            )
        return results

    def loss_and_predict(
        self, x: Sequence[Tensor], batch_data_samples: Sequence[DetDataSample], **kwargs: Any
    ) -> tuple[dict[str, Any], list[InstanceData]]:
        """No losses, and what `predict` gives."""
        return {}, self.predict(x, batch_data_samples)
