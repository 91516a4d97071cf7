"""Services that keep the numbers and pictures of many runs; each needs a package of its own."""

from toolkit.visualization.trackers.aim import AimVisBackend
from toolkit.visualization.trackers.clearml import ClearMLVisBackend
from toolkit.visualization.trackers.dvclive import DVCLiveVisBackend
from toolkit.visualization.trackers.mlflow import MLflowVisBackend
from toolkit.visualization.trackers.neptune import NeptuneVisBackend
from toolkit.visualization.trackers.wandb import WandbVisBackend

__all__ = [
    "AimVisBackend",
    "ClearMLVisBackend",
    "DVCLiveVisBackend",
    "MLflowVisBackend",
    "NeptuneVisBackend",
    "WandbVisBackend",
]
