"""Processes of this machine: one that ended is known as dead, whatever has its id now."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from newsletter.config import processes
from newsletter.config.processes import is_known_dead, is_running, process_identity

has_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="This system has no /proc.")


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()


def test_a_running_process_is_not_dead(child: subprocess.Popen[bytes]) -> None:
    assert is_running(child.pid)
    assert not is_known_dead(child.pid, process_identity(child.pid))
    assert not is_known_dead(os.getpid(), process_identity(os.getpid()))


def test_a_killed_process_is_dead(child: subprocess.Popen[bytes]) -> None:
    identity = process_identity(child.pid)
    child.kill()
    child.wait()
    assert not is_running(child.pid)
    assert is_known_dead(child.pid, identity)


@has_proc
def test_a_killed_process_is_dead_before_its_parent_has_noticed(child: subprocess.Popen[bytes]) -> None:
    identity = process_identity(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not is_running(child.pid)
    assert is_known_dead(child.pid, identity)


@has_proc
def test_another_process_with_the_same_id_is_told_apart_by_its_start(child: subprocess.Popen[bytes]) -> None:
    scope, _slash, started = process_identity(child.pid).rpartition("/")
    assert is_known_dead(child.pid, f"{scope}/{int(started) - 1}")


@has_proc
@pytest.mark.parametrize("identity", ["", "another-boot/pid:[1]/7", "-/-/"])
def test_nothing_is_known_of_other_machines_boots_and_containers(identity: str) -> None:
    assert not is_known_dead(2**22 + 1, identity)


def test_a_program_name_with_spaces_and_parentheses_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / str(os.getpid())
    folder.mkdir()
    fields = " ".join(["S", *map(str, range(4, 53))])
    (folder / "stat").write_text(f"{os.getpid()} (a) R (b)) {fields}\n")
    monkeypatch.setattr(processes, "PROC", tmp_path)
    assert process_identity(os.getpid()) == "-/-/22"


def test_a_process_whose_start_is_hidden_is_not_known_dead_while_it_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, child: subprocess.Popen[bytes]
) -> None:
    """As with `hidepid`: /proc shows no processes of other accounts, but all the rest."""
    (tmp_path / "sys/kernel/random").mkdir(parents=True)
    (tmp_path / "sys/kernel/random/boot_id").write_text("this-boot\n")
    (tmp_path / "self/ns").mkdir(parents=True)
    (tmp_path / "self/ns/pid").symlink_to("pid:[7]")
    monkeypatch.setattr(processes, "PROC", tmp_path)
    identity = "this-boot/pid:[7]/4711"
    assert is_running(child.pid)
    assert not is_known_dead(child.pid, identity)
    child.kill()
    child.wait()
    assert is_known_dead(child.pid, identity)


def test_without_proc_only_the_id_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, child: subprocess.Popen[bytes]
) -> None:
    monkeypatch.setattr(processes, "PROC", tmp_path)
    identity = process_identity(child.pid)
    assert identity == "-/-/"
    assert not is_known_dead(child.pid, identity)
    child.kill()
    child.wait()
    assert is_known_dead(child.pid, identity)
