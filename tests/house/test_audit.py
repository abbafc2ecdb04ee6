"""The audit of what gets installed finds a bad release, a missing hash, a stale lock file and a stray .pth file."""

from __future__ import annotations

import json
import re
import sysconfig
from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import pytest

from newsletter.config.configuration import PROJECT_ROOT
from tests.house.audit import (
    REQUIREMENTS,
    SourceUnreachable,
    advisories,
    audit,
    main,
    missing_hashes,
    pins_of,
    stale_locks,
    stray_pth,
)

HASH = "--hash=sha256:" + "0" * 64
SITE_PACKAGES = Path(sysconfig.get_path("purelib"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the lock files."""
    return copytree(REQUIREMENTS, tmp_path / "requirements")


def change(folder: Path, name: str, edit: Callable[[str], str]) -> None:
    file = folder / name
    before = file.read_text()
    file.write_text(edit(before))
    assert file.read_text() != before


def test_this_repository_and_this_environment_pass_the_audit() -> None:
    assert audit(REQUIREMENTS, SITE_PACKAGES) == []


@pytest.mark.parametrize("version", ["1.82.7", "1.82.8"])
def test_a_release_that_is_known_to_be_bad_fails(folder: Path, version: str) -> None:
    change(folder, "dev.txt", lambda text: f"{text}litellm=={version} \\\n    {HASH}\n")
    (fault,) = audit(folder, SITE_PACKAGES)
    assert fault.startswith(f"dev.txt: litellm=={version} must not be used: ")


def test_an_old_release_with_a_known_vulnerability_fails(folder: Path) -> None:
    for name in ("base.txt", "celery.txt", "dev.txt"):
        change(folder, name, lambda text: re.sub(r"(?m)^jinja2==\S+", "jinja2==3.1.5", text))
    faults = audit(folder, SITE_PACKAGES)
    assert "base.txt: jinja2==3.1.5 must not be used: CVE-2025-27516: sandbox escape." in faults


def test_a_pin_without_a_hash_fails(folder: Path) -> None:
    change(
        folder, "base.txt", lambda text: re.sub(r"(?m)^(asgiref==\S+) \\\n(    --hash=\S+(?: \\)?\n)+", r"\1\n", text)
    )
    (fault,) = audit(folder, SITE_PACKAGES)
    assert re.fullmatch(r"base\.txt: asgiref==\S+ has no hash\.", fault)


@pytest.mark.parametrize("line", ["requests>=2", "git+https://code.example/it.git", "-e ."])
def test_a_requirement_that_is_no_pin_fails(line: str) -> None:
    assert list(missing_hashes(f"{line} \\\n    {HASH}\n")) == [f"{line} is not pinned to a version."]


def test_a_new_requirement_that_was_not_locked_fails(folder: Path) -> None:
    change(folder, "base.in", lambda text: f"{text}defusedxml>=0.7\n")
    assert "base.txt lacks defusedxml. Run `make lock`." in audit(folder, SITE_PACKAGES)


def test_a_requirement_that_its_pin_contradicts_fails(folder: Path) -> None:
    change(folder, "base.in", lambda text: text.replace("gunicorn>=23", "gunicorn>=999"))
    (fault,) = stale_locks(folder)
    assert fault.endswith("but base.in asks for gunicorn>=999.")


def test_lock_files_with_different_pins_fail(folder: Path) -> None:
    change(folder, "base.txt", lambda text: re.sub(r"(?m)^(asgiref)==\S+", r"\1==3.0.0", text))
    (fault,) = stale_locks(folder)
    assert fault.startswith("celery.txt does not pin asgiref==3.0.0")


def test_a_stray_pth_file_fails(tmp_path: Path) -> None:
    (tmp_path / "distutils-precedence.pth").write_text("import os\n")
    assert list(stray_pth(tmp_path)) == []
    (tmp_path / "litellm_init.pth").write_text("import os\n")
    (fault,) = stray_pth(tmp_path)
    assert fault.startswith("litellm_init.pth in site-packages runs whenever Python starts")


def test_an_advisory_fails_and_names_its_pin() -> None:
    pins = pins_of("asgiref==3.13.0 \\\nlitellm==1.82.8 \\\n")
    asked: list[bytes] = []

    def ask(body: bytes) -> bytes:
        asked.append(body)
        return json.dumps({"results": [{}, {"vulns": [{"id": "MAL-2026-1"}, {"id": "GHSA-x"}]}]}).encode()

    assert list(advisories(pins, ask)) == ["litellm==1.82.8 has advisories: MAL-2026-1, GHSA-x."]
    second = {"package": {"name": "litellm", "ecosystem": "PyPI"}, "version": "1.82.8"}
    assert json.loads(asked[0])["queries"][1] == second


def silent(_body: bytes) -> bytes:
    raise OSError("Name or service not known")


@pytest.mark.parametrize("ask", [silent, lambda body: b"<html>502", lambda body: b"[]"], ids=["silent", "HTML", "list"])
def test_an_advisory_database_that_does_not_answer_is_reported_and_is_no_clean_result(
    ask: Callable[[bytes], bytes],
) -> None:
    with pytest.raises(SourceUnreachable, match="The advisory database OSV"):
        list(advisories(pins_of("asgiref==3.13.0 \\\n"), ask))


def test_a_source_that_was_not_asked_is_named_last(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreachable(*_arguments: object) -> list[str]:
        raise SourceUnreachable("The advisory database OSV: no route")

    monkeypatch.setattr("tests.house.audit.advisories", unreachable)
    monkeypatch.setattr("tests.house.audit.differs_when_resolved", lambda _folder: [])
    assert main() == 0
    *_, last = capsys.readouterr().out.splitlines()
    assert last == "NOT CHECKED, because it could not be reached. The advisory database OSV: no route"


def test_the_security_policy_says_that_the_audit_passes_without_the_advisory_database() -> None:
    policy = " ".join((PROJECT_ROOT / "SECURITY.md").read_text().split())
    assert "Where that database cannot be reached, `make audit` says so and passes." in policy
