"""Draws docs/similar.svg, a real answer: ``python -m tests.cli.pictures LIBRARY.db``.

The library is the one that `make demo` makes, so that everybody can see the same.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

IMAGE = Path(__file__).parents[2] / "docs" / "similar.svg"
COLUMNS = 100
COMMAND = ["similar", "walking bass no. 2", "--k", "6", "--explain"]


def main(database: str) -> None:
    """Run the command and draw what it prints."""
    result = subprocess.run(
        [sys.executable, "-m", "recsys", *COMMAND, "--db", database],
        env={**os.environ, "COLUMNS": str(COLUMNS), "FORCE_COLOR": "1", "TERM": "xterm-256color"},
        capture_output=True,
        text=True,
        check=True,
    )
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    shown = " ".join(f'"{word}"' if " " in word else word for word in COMMAND)
    console.print(f"[bold]$ recsys {shown}[/bold]")
    console.print(Text.from_ansi(result.stdout.rstrip()))
    lines = console.export_svg(title="recsys").splitlines()
    IMAGE.write_text("\n".join(line.rstrip() for line in lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
