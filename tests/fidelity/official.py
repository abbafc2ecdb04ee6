"""The official MJML compiler, from npm, as a process that compiles one document after the other."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Compiled:
    """The result of the official compiler."""

    html: str
    errors: tuple[str, ...]
    """The messages of its soft validation."""
    cpu_ms: float


class OfficialCompiler:
    """Compiles one document at a time."""

    def __init__(self, questions: IO[str], answers: IO[str]) -> None:
        self._questions = questions
        self._answers = answers

    def compile(self, mjml: str) -> Compiled:
        """The HTML of a document, and the milliseconds of CPU it took."""
        self._questions.write(json.dumps({"mjml": mjml}) + "\n")
        self._questions.flush()
        answer = json.loads(self._answers.readline())
        return Compiled(answer["html"], tuple(answer["errors"]), answer["ms"])


def missing() -> str:
    """What is missing to run the official compiler, as a sentence; empty when it is there."""
    if shutil.which("node") is None:
        return "node is not installed; `apt-get install nodejs npm` brings it"
    if not (HERE / "node_modules" / "mjml").is_dir():
        return "the official compiler is not installed; `make fidelity` does it"
    return ""


@contextmanager
def official_compiler() -> Iterator[OfficialCompiler]:
    """Start the compiler, and end it afterwards."""
    command = ["node", str(HERE / "official.mjs")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield OfficialCompiler(process.stdin, process.stdout)
        process.stdin.close()
        process.wait(timeout=10)
