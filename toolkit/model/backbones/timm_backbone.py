"""Any model of timm as a backbone."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from toolkit.model.base_module import BaseModule, InitCfg
from toolkit.registry import MODELS
from toolkit.utils import BuildError, CheckpointError, did_you_mean

logger = logging.getLogger(__name__)


@MODELS.register_module()
class TIMMBackbone(BaseModule):
    """A model of timm (https://github.com/huggingface/pytorch-image-models), the extra ``toolkit[timm]``.

    State-dict keys: ``timm_model.*``.

    Args:
        model_name: Its name there, such as 'resnet50' or 'tv_resnet50'.
        features_only: Give the maps of several stages, and not the last one alone.
        pretrained: Start from timm's weights. They are loaded by `init_weights`, as those of an `init_cfg`
            are, so that a model that gets a checkpoint anyway needs no download.
        checkpoint_path: A local file of weights of that model.
        in_channels: Channels of the images.
        init_cfg: See `BaseModule`.
        out_indices: With `features_only`, the stages whose maps are given.
        output_stride: Largest stride of a map, for models that can dilate instead.
        norm_layer: The norm, as a name of timm's or of a norm in configs, such as 'BN'.
        act_layer: The activation, as a name of timm's.
        drop_rate: Dropout before the classifier.
        drop_path_rate: Probability of the last residual to be dropped.
        img_size: Size of the images, for models that need to know it.
        model_kwargs: Any other arguments of `timm.create_model`.

    Raises:
        BuildError: timm is not installed, or has no such model; the message names the nearest.
    """

    def __init__(
        self,
        model_name: str,
        features_only: bool = False,
        pretrained: bool = False,
        checkpoint_path: str = "",
        in_channels: int = 3,
        init_cfg: InitCfg = None,
        out_indices: Sequence[int] | None = None,
        output_stride: int | None = None,
        norm_layer: Any = None,
        act_layer: Any = None,
        drop_rate: float | None = None,
        drop_path_rate: float | None = None,
        img_size: int | Sequence[int] | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if not isinstance(pretrained, bool):
            raise BuildError(
                f"pretrained of TIMMBackbone is True or False, got {pretrained!r}; a file goes into "
                "checkpoint_path"
            )
        named = MODELS.get(norm_layer) if isinstance(norm_layer, str) else None
        optional = {
            "out_indices": out_indices,
            "output_stride": output_stride,
            "norm_layer": named or norm_layer,
            "act_layer": act_layer,
            "drop_rate": drop_rate,
            "drop_path_rate": drop_path_rate,
            "img_size": img_size,
        }
        self.pretrained = pretrained
        self._settings = {
            "model_name": model_name,
            "features_only": features_only,
            "in_chans": in_channels,
            **{key: value for key, value in optional.items() if value is not None},
            **(model_kwargs or {}),
        }
        self.timm_model = self._create(checkpoint_path=checkpoint_path)
        if checkpoint_path:
            self._is_init = True

    def _create(self, **kwargs: Any) -> nn.Module:
        timm = _timm()
        name = self._settings["model_name"].partition(".")[0]
        if not timm.is_model(name) and "/" not in name and ":" not in name:
            raise BuildError(f"timm has no model {name!r}{did_you_mean(name, timm.list_models())}")
        model = timm.create_model(**self._settings, **kwargs)
        if hasattr(model, "reset_classifier"):
            model.reset_classifier(0, "")
        return model

    def init_weights(self) -> None:
        """Load timm's weights, with `pretrained`.

        Raises:
            CheckpointError: They can't be downloaded.
        """
        if self.pretrained and not self._is_init:
            name = self._settings["model_name"]
            try:
                weights = self._create(pretrained=True).state_dict()
            except (OSError, RuntimeError) as error:
                raise CheckpointError(
                    f"timm's weights of {name!r} couldn't be had: {error}. Without a network, give a local "
                    "file in checkpoint_path, or set pretrained=False"
                ) from error
            self.timm_model.load_state_dict(weights)
            logger.info("TIMMBackbone: loaded timm's weights of %s", name)
        super().init_weights()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, in_channels, H, W) to the maps of the stages, or a tuple of the last one."""
        features = self.timm_model(x)
        return tuple(features) if isinstance(features, (list, tuple)) else (features,)


def _timm() -> Any:
    try:
        return importlib.import_module("timm")
    except ModuleNotFoundError as error:
        raise BuildError("TIMMBackbone needs timm, which is not installed: pip install timm") from error
