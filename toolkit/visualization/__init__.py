"""Drawing on pictures, and the places where pictures and numbers are kept."""

from toolkit.visualization.backends import BaseVisBackend, LocalVisBackend, TensorboardVisBackend
from toolkit.visualization.visualizer import Visualizer

__all__ = ["BaseVisBackend", "LocalVisBackend", "TensorboardVisBackend", "Visualizer"]
