"""Reading checkpoints, from wherever they are, without running anybody's code."""

from toolkit.fileio.checkpoint.reading import checksum_path, file_digest, weights_of
from toolkit.fileio.checkpoint.sources import CheckpointLoader, local_path, read_checkpoint

__all__ = ["CheckpointLoader", "checksum_path", "file_digest", "local_path", "read_checkpoint", "weights_of"]
