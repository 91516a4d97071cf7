"""The head of Conditional DETR."""

from __future__ import annotations

from torch import Tensor, nn

from toolkit.detection.models.dense_heads.detr_head import DETRHead
from toolkit.detection.models.layers.transformer import moved
from toolkit.detection.registry import MODELS
from toolkit.model import bias_init_with_prob


@MODELS.register_module()
class ConditionalDETRHead(DETRHead):
    """The head of DETR with boxes around reference points (Meng et al., "Conditional DETR for Fast Training
    Convergence", 2021). Arguments and keys are those of `DETRHead`.
    """

    def init_weights(self) -> None:
        """As its base; with sigmoids, classes start at a probability of 0.01."""
        super().init_weights()
        if self.use_sigmoid_cls:
            nn.init.constant_(self.fc_cls.bias, bias_init_with_prob(0.01))

    def forward(self, hidden_states: Tensor, references: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """See `DETRHead.forward`; references are x, y from 0 to 1, (B, Q, 2), the same for all layers."""
        deltas = self.fc_reg(self.activate(self.reg_ffn(hidden_states)))
        return self.fc_cls(hidden_states), moved(deltas, references)
