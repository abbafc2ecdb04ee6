"""The sources use nothing that newer Pythons, or Django 6.1, deprecate."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from newsletter.config.configuration import PROJECT_ROOT
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
