"""Logger, message hub and histories of logged numbers."""

from toolkit.logging.history_buffer import HistoryBuffer
from toolkit.logging.logger import MMFormatter, MMLogger, print_log
from toolkit.logging.message_hub import MessageHub

__all__ = ["HistoryBuffer", "MMFormatter", "MMLogger", "MessageHub", "print_log"]
