"""Exit codes, as documented in docs/cli.md."""

FAILED = 1
SOME_FILES_FAILED = 3
INTERRUPTED = 130
TERMINATED = 143
