"""Any classification model of torchvision as a backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torchvision
from torch import Tensor, nn
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

from toolkit.model.backbones.common import PartlyFrozen
from toolkit.model.base_module import InitCfg
from toolkit.registry import MODELS
from toolkit.utils import BuildError, did_you_mean

# Where torchvision's models keep their last feature map, the first that a model has.
_LAST_MAPS = ("layer4", "trunk_output", "permute", "features", "layers", "conv5", "encoder")


@MODELS.register_module()
class TorchvisionBackbone(PartlyFrozen):
    """A model of ``torchvision.models`` that gives the outputs of chosen nodes.

    Args:
        model_name: Its name there, such as ``'resnet18'`` or ``'convnext_tiny'``.
        weights: Name of pretrained weights, such as ``'DEFAULT'`` or ``'IMAGENET1K_V2'``; None for random
            ones.
        out_nodes: Nodes of its graph, such as ``['layer2', 'layer3', 'layer4']``; by default the last map of
            features. ``torchvision.models.feature_extraction.get_graph_node_names`` lists them.
        norm_eval: Batch norms keep their running statistics while training.
        frozen_prefixes: Parameters whose names begin with one of these don't train.
        model_kwargs: Further arguments of the model.
        init_cfg: See `BaseModule`.

    Raises:
        BuildError: There is no such model or node; the message names the nearest.

    Examples:
        >>> import torch
        >>> net = TorchvisionBackbone("resnet18", out_nodes=["layer1", "layer4"])
        >>> [tuple(x.shape) for x in net(torch.zeros(1, 3, 64, 64))]
        [(1, 64, 16, 16), (1, 512, 2, 2)]
    """

    def __init__(
        self,
        model_name: str,
        weights: str | None = None,
        out_nodes: Sequence[str] | None = None,
        norm_eval: bool = False,
        frozen_prefixes: Sequence[str] = (),
        model_kwargs: Mapping[str, Any] | None = None,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        known = torchvision.models.list_models(module=torchvision.models)
        if model_name not in known:
            raise BuildError(f"torchvision has no model {model_name!r}{did_you_mean(model_name, known)}")
        model = torchvision.models.get_model(model_name, weights=weights, **(model_kwargs or {}))
        self.model_name = model_name
        self.norm_eval = norm_eval
        self.out_nodes = _checked_nodes(model, model_name, out_nodes)
        self.body = create_feature_extractor(model, list(self.out_nodes))
        for name, param in self.body.named_parameters():
            if any(name.startswith(prefix) for prefix in frozen_prefixes):
                param.requires_grad = False

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, 3, H, W) to one tensor a node, in the order of `out_nodes`."""
        outs = self.body(x)
        return tuple(outs[node] for node in self.out_nodes)


def _checked_nodes(model: nn.Module, name: str, wanted: Sequence[str] | None) -> tuple[str, ...]:
    _, nodes = get_graph_node_names(model)
    # A node may be named by the module that it is inside of, which stands for the module's last node.
    valid = {".".join(node.split(".")[: i + 1]) for node in nodes for i in range(node.count(".") + 1)}
    if wanted is None:
        wanted = [next((node for node in _LAST_MAPS if node in valid), "")]
        if not wanted[0]:
            raise BuildError(
                f"{name} has no usual last map of features; name one in out_nodes, out of {nodes}"
            )
    for node in wanted:
        if node not in valid:
            raise BuildError(f"{name} has no node {node!r}{did_you_mean(node, sorted(valid))}")
    return tuple(wanted)
