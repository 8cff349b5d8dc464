"""Finding in a log the one line that says why its process ended."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

# `package.module.SomeError: text`, alone or after the prefix of oslo.log, which repeats tracebacks line by line
EXCEPTION = re.compile(r"(?:^|\s)(?P<text>(?:\w+\.)*\w*(?:Error|Exception|Conflict|Unavailable|Full|Violation)\b: .+)$")
LINES_READ = 400


@dataclass(frozen=True)
class Log:
    """What one run appends to `path`, from `start_byte` on."""

    path: Path
    start_byte: int

    @classmethod
    def of(cls, path: Path) -> Log:
        """The log of a run that begins now; what earlier runs wrote stays in the file and out of sight."""
        return cls(path, path.stat().st_size if path.exists() else 0)

    def reason(self) -> str:
        """The last exception this run logged, else its last line, and where to read on."""
        text = self.path.read_bytes()[self.start_byte :].decode(errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()][-LINES_READ:]
        exceptions = [found["text"] for line in lines if (found := EXCEPTION.search(line))]
        last = exceptions[-1:] or lines[-1:] or ["it printed nothing"]
        return f"{last[0]} (see {self.path})"
