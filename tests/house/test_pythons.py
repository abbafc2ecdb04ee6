"""The sources use nothing that newer Pythons, or Django 6.1, deprecate."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from newsletter.config.configuration import PROJECT_ROOT
from tests import pythons
from tests.pythons import interpreter

APPS = ("newsletter", "subscribers")

#: Where Django's EMAIL_* settings may be named. Django 6.1 replaces them by MAILERS.
MAIL_SETTINGS = {
    "newsletter/settings.py",
    "newsletter/providers/smtp/connection.py",
    "subscribers/transactional/outbox.py",
}
MAIL_SETTING = re.compile(r"^(EMAIL_(BACKEND|HOST|PORT|TIMEOUT|HOST_\w+|USE_\w+|SSL_\w+)|DEFAULT_FROM_EMAIL)$")

#: Deprecated since the version of Python, as the last part of a dotted name.
DEPRECATED = {"utcnow": "3.12", "utcfromtimestamp": "3.12", "getdefaultlocale": "3.11", "iscoroutinefunction": "3.14"}

#: `?1` with a sequence of values: deprecated in 3.12, an error in 3.14.
NUMBERED_PLACEHOLDER = re.compile(r"(=|<|>|\(|,|\+|-|LIKE|IN)\s*\?\d")


@cache
def trees() -> dict[str, ast.AST]:
    """Every module of the apps by its path."""
    files = (file for app in APPS for file in (PROJECT_ROOT / app).rglob("*.py"))
    return {file.relative_to(PROJECT_ROOT).as_posix(): ast.parse(file.read_text()) for file in files}


def nodes() -> Iterator[tuple[str, ast.AST]]:
    return ((path, node) for path, tree in trees().items() for node in ast.walk(tree))


def test_no_sql_has_numbered_placeholders() -> None:
    found = [
        f"{path}:{node.lineno}"
        for path, node in nodes()
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and NUMBERED_PLACEHOLDER.search(node.value)
    ]
    assert found == []


def test_nothing_is_called_that_a_newer_python_deprecates() -> None:
    called = [
        f"{path}:{node.lineno} {node.attr} (Python {DEPRECATED[node.attr]})"
        for path, node in nodes()
        if isinstance(node, ast.Attribute) and node.attr in DEPRECATED
    ]
    assert called == []


def test_mail_settings_that_django_deprecates_are_named_in_their_places_only() -> None:
    named = {
        path
        for path, node in nodes()
        if MAIL_SETTING.match(getattr(node, "attr", "") or "")
        or (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and MAIL_SETTING.match(node.id))
    }
    assert named <= MAIL_SETTINGS
    assert "Deprecated in Django 6.1" in (PROJECT_ROOT / "newsletter/settings.py").read_text()


def test_the_supported_pythons_are_declared_and_tested() -> None:
    declared = (PROJECT_ROOT / "pyproject.toml").read_text()
    makefile = (PROJECT_ROOT / "Makefile").read_text()
    versions = re.findall(r"Programming Language :: Python :: (3\.\d+)", declared)
    assert versions == ["3.11", "3.12", "3.13"]
    assert f"PYTHONS := {' '.join(versions[1:])}" in makefile


def test_an_interpreter_that_is_not_there_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert interpreter("3.12") is None


@pytest.fixture
def no_python(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No other interpreter is installed, and none can be downloaded; the versions that were asked for."""
    asked: list[str] = []
    monkeypatch.setattr(pythons, "interpreter", lambda _version: None)
    monkeypatch.setattr(pythons, "downloaded", asked.append)
    monkeypatch.setenv("CI", "true")
    monkeypatch.delenv("REQUIRE_PYTHONS", raising=False)
    return asked


def test_a_python_that_cannot_be_had_is_named_last_and_fails_only_where_it_is_required(
    no_python: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pythons.main(["3.12", "3.13"]) == 0
    assert no_python == ["3.12", "3.13"]
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "NOT tested with Python 3.12: it is not on the PATH, and not in pyenv.",
        "NOT tested with Python 3.13: it is not on the PATH, and not in pyenv.",
    ]
    monkeypatch.setenv("REQUIRE_PYTHONS", "1")
    assert pythons.main(["3.12"]) == 1


def test_a_python_that_was_downloaded_is_tested(
    no_python: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tested: list[str] = []

    def check(version: str, _program: Path, _arguments: list[str]) -> int:
        tested.append(version)
        return 0

    monkeypatch.setattr(pythons, "downloaded", lambda _version: Path("python"))
    monkeypatch.setattr(pythons, "check", check)
    assert pythons.main(["3.12"]) == 0
    assert tested == ["3.12"]
    assert capsys.readouterr().out.splitlines()[-1] == "Tested with: 3.12."


def test_nothing_is_downloaded_outside_ci(no_python: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI")
    pythons.main(["3.12"])
    assert no_python == []


def test_a_download_that_fails_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = subprocess.CompletedProcess([], 2, stdout="", stderr="error: no route to the host\n")
    monkeypatch.setattr("subprocess.run", lambda *_arguments, **_options: failed)
    assert pythons.downloaded("3.12", tmp_path) is None
    assert capsys.readouterr().out == "Python 3.12 cannot be downloaded: error: no route to the host\n"


def test_what_ci_leaves_out_is_named() -> None:
    steps = re.findall(r"(?m)^step make (\S+)", (PROJECT_ROOT / ".ci/run").read_text())
    targets = re.findall(r"(?m)^((?:test|soak|audit|lint|fidelity)\S*):.*## ", (PROJECT_ROOT / "Makefile").read_text())
    left_out = sorted(set(targets) - set(steps))
    assert left_out == ["soak", "test-mutants"]
    contributing = " ".join((PROJECT_ROOT / "CONTRIBUTING.md").read_text().split())
    assert "everything but `make test-mutants` and `make soak`" in contributing
