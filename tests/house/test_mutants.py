"""The guards that `make test-mutants` removes are in their places, and docs/mutants.md lists them all."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from newsletter.config.configuration import PROJECT_ROOT
from tests.mutants.__main__ import HEAD, PAGE
from tests.mutants.guards import GUARDS
from tests.mutants.mutation import TABLE_HEAD, Guard, GuardNotFound


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.promise)
def test_a_guard_is_in_its_place_and_its_removal_is_valid_python(guard: Guard) -> None:
    source = (PROJECT_ROOT / guard.path).read_text()
    mutated = guard.mutated(source)
    assert mutated != source
    compile(mutated, guard.path, "exec")


@pytest.mark.parametrize("test", sorted({test for guard in GUARDS for test in guard.tests}))
def test_a_test_that_should_notice_is_there(test: str) -> None:
    path, *_classes, name = test.split("::")
    tree = ast.parse((PROJECT_ROOT / path).read_text())
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_the_page_lists_the_guards_as_they_are() -> None:
    expected = HEAD + TABLE_HEAD + "".join(guard.row() for guard in GUARDS)
    assert PAGE.read_text() == expected, "Run `make test-mutants`, which writes docs/mutants.md."


@pytest.mark.parametrize(
    ("symbol", "old"), [("gone", "return 1"), ("here", "return 2"), ("here", "value")], ids=["symbol", "text", "twice"]
)
def test_a_guard_that_is_not_once_in_its_place_is_an_error(symbol: str, old: str, tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("def here(value):\n    value += 1\n    return 1\n\ndef there():\n    return 2\n")
    guard = Guard(promise="", path="code.py", symbol=symbol, old=old, new="", tests=())
    with pytest.raises(GuardNotFound):
        guard.remove_from(tmp_path)
