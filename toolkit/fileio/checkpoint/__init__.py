"""Reading checkpoints, from wherever they are, without running anybody's code."""

from toolkit.fileio.checkpoint.published import (
    get_deprecated_model_names,
    get_external_models,
    get_mmcls_models,
    get_torchvision_models,
)
from toolkit.fileio.checkpoint.reading import checksum_path, file_digest, weights_of
from toolkit.fileio.checkpoint.sources import CheckpointLoader, local_path, read_checkpoint

__all__ = [
    "CheckpointLoader",
    "checksum_path",
    "file_digest",
    "get_deprecated_model_names",
    "get_external_models",
    "get_mmcls_models",
    "get_torchvision_models",
    "local_path",
    "read_checkpoint",
    "weights_of",
]
