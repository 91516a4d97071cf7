"""Logger, message hub and histories of logged numbers."""

from toolkit.logging.history_buffer import HistoryBuffer
from toolkit.logging.logger import FILE_ONLY, MMFormatter, MMLogger, print_log
from toolkit.logging.message_hub import MessageHub

__all__ = ["FILE_ONLY", "HistoryBuffer", "MMFormatter", "MMLogger", "MessageHub", "print_log"]
