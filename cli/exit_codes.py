"""How a command tells the shell what became of it; docs/cli.md says the same in words."""

FAILED = 1
SOME_FILES_FAILED = 3
INTERRUPTED = 130
TERMINATED = 143
