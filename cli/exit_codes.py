"""Exit codes, as documented in docs/cli.md."""

FAILED = 1
SOME_FILES_FAILED = 3
INTERRUPTED = 130
PIPE_CLOSED = 141
SIGNALLED = 128
"""Plus the number of the signal: 143 for SIGTERM."""
