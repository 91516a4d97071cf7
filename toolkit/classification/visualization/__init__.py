"""Pictures with labels."""

from toolkit.classification.visualization.hook import VisualizationHook
from toolkit.classification.visualization.visualizer import UniversalVisualizer

__all__ = ["UniversalVisualizer", "VisualizationHook"]
