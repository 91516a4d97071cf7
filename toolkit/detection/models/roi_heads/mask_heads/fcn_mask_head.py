"""The mask head of Mask R-CNN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.utils import _pair

from toolkit.detection.masks import mask_target
from toolkit.detection.models.roi_heads.mask_heads.paste import paste_masks
from toolkit.detection.models.task_modules import SamplingResult
from toolkit.detection.registry import MODELS
from toolkit.model import BaseModule, ModuleList
from toolkit.model.cnn import ConvModule, build_conv_layer, build_upsample_layer
from toolkit.structures import InstanceData
from toolkit.utils import BuildError

Cfg = dict[str, Any]
_UPSAMPLING = (None, "deconv", "nearest", "bilinear", "carafe")


@MODELS.register_module()
class FCNMaskHead(BaseModule):
    """Convolutions, an upsampling and a mask a class (He et al., "Mask R-CNN", 2017).

    State-dict keys: ``convs.i.*``, ``upsample.*``, ``conv_logits.*``. Shapes: P regions, C classes.

    Args:
        num_convs: How many convolutions.
        roi_feat_size: Size of the features of a region; not looked at.
        in_channels: Their channels.
        conv_kernel_size: Of the convolutions.
        conv_out_channels: Of the convolutions.
        num_classes: Without background.
        class_agnostic: One mask a region, not one a class.
        upsample_cfg: ``type``: 'deconv', 'nearest', 'bilinear', 'carafe' or None, and ``scale_factor``.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of their norms.
        predictor_cfg: Config of the layer that gives the masks.
        loss_mask: Config of the loss.
        init_cfg: Only None: it initialises itself.

    Raises:
        BuildError: The upsampling is unknown, or `init_cfg` is given.
    """

    def __init__(
        self,
        num_convs: int = 4,
        roi_feat_size: int | tuple[int, int] = 14,
        in_channels: int = 256,
        conv_kernel_size: int = 3,
        conv_out_channels: int = 256,
        num_classes: int = 80,
        class_agnostic: bool = False,
        upsample_cfg: Cfg = {"type": "deconv", "scale_factor": 2},  # noqa: B006 - read only
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        predictor_cfg: Cfg = {"type": "Conv"},  # noqa: B006 - read only
        loss_mask: Cfg = {"type": "CrossEntropyLoss", "use_mask": True, "loss_weight": 1.0},  # noqa: B006
        init_cfg: Any = None,
    ) -> None:
        if init_cfg is not None:
            raise BuildError(f"{type(self).__name__} initialises itself: take away init_cfg={init_cfg!r}")
        super().__init__(init_cfg)
        self.upsample_method = upsample_cfg.get("type")
        if self.upsample_method not in _UPSAMPLING:
            raise BuildError(
                f"upsample_cfg of {type(self).__name__} has type {self.upsample_method!r}; it can be one of "
                f"{_UPSAMPLING}"
            )
        self.num_convs, self.conv_kernel_size = num_convs, conv_kernel_size
        self.roi_feat_size: tuple[int, int] = _pair(roi_feat_size)
        self.in_channels, self.conv_out_channels = in_channels, conv_out_channels
        self.num_classes, self.class_agnostic = num_classes, class_agnostic
        self.conv_cfg, self.norm_cfg, self.predictor_cfg = conv_cfg, norm_cfg, predictor_cfg
        self.loss_mask = MODELS.build(loss_mask)
        self.convs = ModuleList(
            ConvModule(
                conv_out_channels if i else in_channels,
                conv_out_channels,
                conv_kernel_size,
                padding=(conv_kernel_size - 1) // 2,
                conv_cfg=conv_cfg,
                norm_cfg=norm_cfg,
            )
            for i in range(num_convs)
        )
        channels = conv_out_channels if num_convs else in_channels
        self.upsample = self._upsampling(dict(upsample_cfg), channels)
        channels = conv_out_channels if self.upsample_method == "deconv" else channels
        masks = 1 if class_agnostic else num_classes
        self.conv_logits = build_conv_layer(predictor_cfg, channels, masks, 1)
        self.relu = nn.ReLU(inplace=True)

    def _upsampling(self, cfg: Cfg, channels: int) -> nn.Module | None:
        self.scale_factor = factor = cfg.pop("scale_factor", None)
        if self.upsample_method is None:
            return None
        if self.upsample_method == "deconv":
            sizes = {"kernel_size": factor, "stride": factor}
            return build_upsample_layer(
                {**cfg, "in_channels": channels, "out_channels": self.conv_out_channels, **sizes}
            )
        if self.upsample_method == "carafe":
            return build_upsample_layer({**cfg, "channels": channels, "scale_factor": factor})
        aligned = None if self.upsample_method == "nearest" else False
        return build_upsample_layer({**cfg, "scale_factor": factor, "align_corners": aligned})

    def init_weights(self) -> None:
        """Upsampling and predictor like convolutions before a ReLU (He et al., 2015), biases 0."""
        super().init_weights()
        for layer in (self.upsample, self.conv_logits):
            weight, bias = getattr(layer, "weight", None), getattr(layer, "bias", None)
            if isinstance(weight, Tensor) and isinstance(bias, Tensor):
                nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(bias)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (P, C, s·h, s·w) of features (P, in_channels, h, w)."""
        for conv in self.convs:
            x = conv(x)
        if self.upsample is not None:
            x = self.upsample(x)
            if self.upsample_method == "deconv":
                x = self.relu(x)
        return self.conv_logits(x)

    @torch.no_grad()
    def get_targets(
        self,
        sampling_results: Sequence[SamplingResult],
        batch_gt_instances: Sequence[InstanceData],
        rcnn_train_cfg: Cfg,
    ) -> Tensor:
        """What the masks of the sampled objects are to be, (P, *mask_size).

        Args:
            sampling_results: Of each image.
            batch_gt_instances: ``masks`` of each image.
            rcnn_train_cfg: ``mask_size``; see `mask_target`.
        """
        return mask_target(
            [result.pos_priors for result in sampling_results],
            [result.pos_assigned_gt_inds for result in sampling_results],
            [gt.masks for gt in batch_gt_instances],
            rcnn_train_cfg,
        )

    def loss_and_target(
        self,
        mask_preds: Tensor,
        sampling_results: Sequence[SamplingResult],
        batch_gt_instances: Sequence[InstanceData],
        rcnn_train_cfg: Cfg,
    ) -> dict[str, Any]:
        """The loss of the sampled objects' masks.

        Args:
            mask_preds: Logits, (P, C, h, w).
            sampling_results: Of each image.
            batch_gt_instances: ``masks`` of each image.
            rcnn_train_cfg: ``mask_size``.

        Returns:
            `loss_mask`: losses by name; `mask_targets`: what `get_targets` gave.
        """
        targets = self.get_targets(sampling_results, batch_gt_instances, rcnn_train_cfg)
        labels = torch.cat([result.pos_gt_labels for result in sampling_results])
        if not len(mask_preds):
            loss = mask_preds.sum()
        else:
            chosen = torch.zeros_like(labels) if self.class_agnostic else labels
            loss = self.loss_mask(mask_preds, targets, chosen)
        return {"loss_mask": {"loss_mask": loss}, "mask_targets": targets}

    @torch.no_grad()
    def predict_by_feat(
        self,
        mask_preds: Sequence[Tensor],
        results_list: list[InstanceData],
        batch_img_metas: Sequence[Mapping[str, Any]],
        rcnn_test_cfg: Cfg,
        rescale: bool = False,
        activate_map: bool = False,
    ) -> list[InstanceData]:
        """Add masks to detections.

        Args:
            mask_preds: Logits of each image, (N, C, h, w).
            results_list: Detections, in pixels of the network's input: ``bboxes`` (N, 4), ``labels`` (N,).
            batch_img_metas: ``ori_shape`` and ``scale_factor``.
            rcnn_test_cfg: ``mask_thr_binary``; see `paste_masks`.
            rescale: Give boxes and masks in pixels of the original image.
            activate_map: `mask_preds` are probabilities already.

        Returns:
            The detections with ``masks`` (N, H, W).
        """
        for preds, results, meta in zip(mask_preds, results_list, batch_img_metas, strict=True):
            scale_w, scale_h = meta["scale_factor"]
            height, width = meta["ori_shape"][:2]
            if rescale:
                results.bboxes = results.bboxes / results.bboxes.new_tensor([scale_w, scale_h] * 2)
            elif len(results):
                height, width = round(height * scale_h), round(width * scale_w)
            chosen = self._chosen(preds, results.labels)
            chosen = chosen if activate_map else chosen.float().sigmoid()
            results.masks = paste_masks(
                chosen, results.bboxes, (height, width), rcnn_test_cfg["mask_thr_binary"]
            )
        return results_list

    def _chosen(self, preds: Tensor, labels: Tensor) -> Tensor:
        """The mask (N, h, w) of each region's own class."""
        if self.class_agnostic:
            return preds[:, 0]
        return preds[torch.arange(len(preds), device=preds.device), labels]
