"""Pictures of annotations and detections."""

from toolkit.detection.visualization.hook import DetVisualizationHook
from toolkit.detection.visualization.local_visualizer import DetLocalVisualizer

__all__ = ["DetLocalVisualizer", "DetVisualizationHook"]
