"""Files, local and behind URLs through fsspec; checkpoints in `toolkit.fileio.checkpoint`."""

from toolkit.fileio.files import is_url, join_path, path_exists, read_bytes, read_text, storage_options

__all__ = ["is_url", "join_path", "path_exists", "read_bytes", "read_text", "storage_options"]
