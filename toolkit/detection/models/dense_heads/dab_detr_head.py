"""The head of DAB-DETR."""

from __future__ import annotations

from torch import Tensor, nn

from toolkit.detection.models.dense_heads.detr_head import DETRHead
from toolkit.detection.models.layers.transformer import MLP, moved
from toolkit.detection.registry import MODELS
from toolkit.model import bias_init_with_prob, constant_init


@MODELS.register_module()
class DABDETRHead(DETRHead):
    """The head of DETR with boxes that are refined from layer to layer (Liu et al., "DAB-DETR: Dynamic Anchor
    Boxes are Better Queries for DETR", 2022). Arguments are those of `DETRHead`.

    State-dict keys: ``fc_cls.*``, ``fc_reg.*``.
    """

    def _init_layers(self) -> None:
        self.fc_cls = nn.Linear(self.embed_dims, self.cls_out_channels)
        self.fc_reg = MLP(self.embed_dims, self.embed_dims, 4, 3)

    def init_weights(self) -> None:
        """Boxes start where they are; with sigmoids, classes start at a probability of 0.01."""
        if self.use_sigmoid_cls:
            nn.init.constant_(self.fc_cls.bias, bias_init_with_prob(0.01))
        constant_init(self.fc_reg.layers[-1], 0.0)

    def forward(self, hidden_states: Tensor, references: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """See `DETRHead.forward`; references are the boxes before each layer, (L, B, Q, 2 or 4)."""
        return self.fc_cls(hidden_states), moved(self.fc_reg(hidden_states), references, eps=1e-3)

    def last_layer(self, hidden_states: Tensor, references: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """See `DETRHead.last_layer`."""
        return super().last_layer(hidden_states, references[-1:])
