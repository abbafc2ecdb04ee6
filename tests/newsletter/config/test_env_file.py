"""The file of settings: a sentence for each thing that is wrong with it, and edits that keep the rest."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.config import env_file
from newsletter.config.configuration import PROJECT_ROOT
from newsletter.config.env_file import UnreadableEnvFile, UnwritableValue

GOOD = (
    f"SITE_URL=https://digest.example.org\nSECRET_KEY=tests-only-{'k' * 50}\nSUPPRESSION_SECRET=tests-only-{'s' * 32}\n"
)

#: An account without any rights, for tests that run as root, who may read everything.
NOBODY = 65534


def start(file: Path) -> subprocess.CompletedProcess[str]:
    """Start a process with this file of settings."""
    return subprocess.run(
        [sys.executable, "-c", "import newsletter.settings"],
        cwd=PROJECT_ROOT,
        env={"PATH": os.environ["PATH"], "NEWSLETTER_ENV_FILE": str(file), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )


def assert_exits_with(file: Path, *sentences: str) -> None:
    done = start(file)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    for sentence in sentences:
        assert sentence in done.stderr


def test_an_unreadable_file_is_named_with_the_account_and_the_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".env"
    file.write_text(GOOD)
    file.chmod(0o640)
    monkeypatch.setattr(Path, "read_text", _refuse)
    with pytest.raises(UnreadableEnvFile) as caught:
        env_file.read_text(file)
    sentence = str(caught.value)
    assert f"may not read {file}, which belongs to " in sentence
    assert "with mode 640" in sentence
    assert f"chgrp {_own_group()} {file} && chmod 640 {file}" in sentence


def test_an_account_without_a_name_is_named_by_its_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs with `--user 54321:54322`."""
    file = tmp_path / ".env"
    file.write_text(GOOD)
    file.chmod(0o600)
    monkeypatch.setattr(Path, "read_text", _refuse)
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    monkeypatch.setattr(os, "getegid", lambda: 54322)
    with pytest.raises(UnreadableEnvFile, match=r"The account 54321 may not read .*chgrp 54322 "):
        env_file.read_text(file)


def _refuse(*args: object, **kwargs: object) -> str:
    raise PermissionError(13, "Permission denied")


def _own_group() -> str:
    return subprocess.run(["id", "-gn"], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every account may open. pytest closes the one above its own whenever a run starts."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may start a process as another account")
def test_a_process_of_another_account_exits_with_a_sentence(open_folder: Path) -> None:
    file = open_folder / ".env"
    file.write_text(GOOD)
    file.chmod(0o640)
    code = (
        "from newsletter.config.environment import configuration_or_exit\n"
        f"import os; os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        "configuration_or_exit()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT_ROOT,
        env={"PATH": os.environ["PATH"], "NEWSLETTER_ENV_FILE": str(file)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "may not read" in done.stderr
    assert "root:root" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_directory_is_no_file_of_settings(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    assert_exits_with(tmp_path / ".env", "is a directory, not a file")


@pytest.mark.parametrize("content", [b"\xff\xfeS\x00I\x00", b"\x89PNG\r\n\x1a\n\x00", GOOD.encode() + b"# caf\xe9\n"])
def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".env").write_bytes(content)
    assert_exits_with(tmp_path / ".env", "is not text in UTF-8")


def test_a_line_that_is_no_setting_is_named_by_its_number_and_not_shown(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(GOOD + "\n# a comment\n\nmy password\nPROVIDER\n")
    assert_exits_with(tmp_path / ".env", ".env, line 7: is not of the form NAME=value", ".env, line 8: is not of the")
    assert "my password" not in start(tmp_path / ".env").stderr


def test_a_byte_order_mark_and_crlf_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert start(tmp_path / ".env").returncode == 0


@pytest.mark.parametrize("missing", ["missing/.env", os.devnull])
def test_without_a_file_the_environment_is_enough(tmp_path: Path, missing: str) -> None:
    assert env_file.read_text(tmp_path / missing) is None


def test_an_edit_keeps_comments_unknown_names_and_order() -> None:
    before = "# mine\nUNKNOWN='x y' # why\n\nSITE_URL=https://a.example\n# LOG_LEVEL=INFO\n\nPROVIDER=sandbox\n"
    after = env_file.edit(before, {"SITE_URL": "https://b.example", "LOG_LEVEL": "DEBUG", "SMTP_HOST": "mail.example"})
    assert after == (
        "# mine\nUNKNOWN='x y' # why\n\nSITE_URL=https://b.example\n# LOG_LEVEL=INFO\nLOG_LEVEL=DEBUG\n\n"
        "PROVIDER=sandbox\nSMTP_HOST=mail.example\n"
    )


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=30))
def test_a_value_is_read_as_it_was_written_or_refused(value: str) -> None:
    try:
        text = env_file.edit("A=1\nB='x\ny'\n", {"SMTP_PASSWORD": value})
    except UnwritableValue:
        assert "${" in value or "\\" in value
        return
    assert env_file.read_values(text) == {"A": "1", "B": "x\ny", "SMTP_PASSWORD": value}


def test_a_new_file_is_private_and_an_old_one_keeps_its_mode_without_that_of_others(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    env_file.write(file, "A=1\n")
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o644)
    env_file.write(file, "A=2\n")
    assert (file.stat().st_mode & 0o777, file.read_text()) == (0o640, "A=2\n")
    assert list(tmp_path.iterdir()) == [file]


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("A=1\n")
    (tmp_path / ".env").symlink_to("real")
    env_file.write(tmp_path / ".env", "A=2\n")
    assert (tmp_path / ".env").is_symlink()
    assert (tmp_path / "real").read_text() == "A=2\n"
