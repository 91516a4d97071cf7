"""Losses of classes that say how many logits they take, and how those become scores."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from toolkit.utils import BuildError


class OwnScores(ABC):
    """What a head asks of such a loss. C classes, N samples.

    Attributes:
        num_classes: C.
        further_logits: How many logits there are beside those of the classes.
    """

    custom_cls_channels = True
    custom_activation = True
    custom_accuracy = True
    num_classes: int

    @property
    @abstractmethod
    def further_logits(self) -> int:
        """See the class."""

    def get_cls_channels(self, num_classes: int) -> int:
        """How many logits a head of so many classes has.

        Raises:
            BuildError: The loss is of another number of classes.
        """
        if num_classes != self.num_classes:
            raise BuildError(
                f"num_classes is {num_classes} in the head and {self.num_classes} in {type(self).__name__}"
            )
        return num_classes + self.further_logits

    @abstractmethod
    def get_activation(self, cls_score: Tensor) -> Tensor:
        """Scores of logits (N, C + further_logits)."""

    @abstractmethod
    def get_accuracy(self, cls_score: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Measures of accuracy, in percent, of logits and classes (N,)."""
