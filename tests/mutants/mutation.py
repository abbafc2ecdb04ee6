"""One mutation: a guard, the source text that removes it, and the tests that must notice."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

TABLE_HEAD = "| guard | place | tests that fail without it |\n|---|---|---|\n"


class GuardNotFound(Exception):
    """The guard's text is not, or not once, in its place: adapt the entry in `guards.py`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """A line that keeps a promise. `old` becomes `new` inside `symbol` of the file at `path`.

    `symbol` is a dotted name of a function, class or assignment; so a guard may move within its file.
    `tests` are node ids. `needs_postgresql`: only concurrent transactions notice, which SQLite has not.
    """

    promise: str
    path: str
    symbol: str
    old: str
    new: str
    tests: tuple[str, ...]
    needs_postgresql: bool = False

    @property
    def place(self) -> str:
        """File and symbol."""
        return f"{self.path} · {self.symbol}"

    def mutated(self, source: str) -> str:
        """The source without the guard. Raises GuardNotFound."""
        start, end = _lines_of(source, self.symbol)
        lines = source.splitlines(keepends=True)
        body = "".join(lines[start:end])
        if (count := body.count(self.old)) != 1:
            raise GuardNotFound(f"{self.place}: {self.old!r} is there {count} times, not once.")
        return "".join(lines[:start]) + body.replace(self.old, self.new) + "".join(lines[end:])

    def remove_from(self, root: Path) -> None:
        """Remove it from its file below `root`. Raises GuardNotFound."""
        file = root / self.path
        file.write_text(self.mutated(file.read_text()))

    def row(self) -> str:
        """Its row in the table of docs/mutants.md."""
        tests = "<br>".join(f"`{test}`" for test in self.tests)
        return f"| {self.promise} | `{self.path}` `{self.symbol}` | {tests} |\n"


def _lines_of(source: str, symbol: str) -> tuple[int, int]:
    """The lines of a definition, from its first to behind its last. Raises GuardNotFound."""
    found: ast.AST = ast.parse(source)
    for name in symbol.split("."):
        inner = next((node for node in ast.iter_child_nodes(found) if name in _names(node)), None)
        if inner is None:
            raise GuardNotFound(f"{symbol} is not defined.")
        found = inner
    assert isinstance(found, ast.stmt)
    assert found.end_lineno is not None
    return found.lineno - 1, found.end_lineno


def _names(node: ast.AST) -> set[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.Assign(targets=targets):
            return {target.id for target in targets if isinstance(target, ast.Name)}
        case ast.AnnAssign(target=ast.Name(id=name)):
            return {name}
    return set()
