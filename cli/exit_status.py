"""Exit statuses of `go1`; 0 is success."""

from __future__ import annotations

EXIT_UNFINISHED = 1
"""The command worked, and reports that what was asked for did not happen to the end."""

EXIT_ERROR = 2
"""Also argparse's own status for a wrong command line."""

EXIT_INTERRUPTED = 130
"""128 + SIGINT, as shells report it."""

EXIT_READER_GONE = 141
"""128 + SIGPIPE."""
