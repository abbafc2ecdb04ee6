"""The audit of what gets installed: `python -m tests.house.audit`, or `make audit`.

Four checks: a lock file pins a release with a known fault; a pin has no hash; a lock file does not fit what it was
made from; site-packages has a .pth file that is not known, and that would run whenever Python starts. The shipped
list of bad releases is always checked. The advisory database OSV is asked, too, and a line says so if it cannot be
reached.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from shutil import copytree

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements"

#: Each lock file contains the pins of the one before it.
LOCKS = ("base", "celery", "dev")

#: setuptools, in virtual environments that Python 3.11 makes; virtualenv.
KNOWN_PTH = frozenset({"distutils-precedence.pth", "_virtualenv.pth"})

#: One request for all pins. Source: OSV API, POST /v1/querybatch.
OSV_URL = "https://api.osv.dev/v1/querybatch"
OSV_TIMEOUT = 20.0

_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}\b")

Pins = Mapping[str, Version]


class SourceUnreachable(Exception):
    """A check needs the network, and did not get an answer; the message says which."""


def pins_of(lock: str) -> dict[str, Version]:
    """The pinned versions in a lock file's text, by canonical name."""
    return {canonicalize_name(name): Version(version) for name, version in _PIN.findall(lock)}


def known_bad(pins: Pins, listed: str) -> Iterator[str]:
    """A sentence for each pin that the list names."""
    for line in listed.splitlines():
        text, _, reason = line.partition("#")
        if not text.strip():
            continue
        bad = Requirement(text)
        version = pins.get(canonicalize_name(bad.name))
        if version is not None and bad.specifier.contains(version, prereleases=True):
            yield f"{bad.name}=={version} must not be used: {reason.strip()}."


def missing_hashes(lock: str) -> Iterator[str]:
    """A sentence for each pin without a SHA-256, and for each requirement that is no pin."""
    entry: list[str] = []
    for line in [*lock.splitlines(), "end"]:
        if line and not line.startswith((" ", "#")):
            yield from _faults_of_entry("\n".join(entry))
            entry = []
        entry.append(line)


def _faults_of_entry(entry: str) -> Iterator[str]:
    name = entry.partition("\n")[0].rstrip(" \\")
    if not name or name.startswith("#"):
        return
    if not _PIN.match(entry):
        yield f"{name} is not pinned to a version."
    elif not _HASH.search(entry):
        yield f"{name} has no hash."


def stale_locks(folder: Path) -> Iterator[str]:
    """A sentence for each requirement that a lock file lacks or contradicts, and for pins that differ between them."""
    texts = {name: (folder / f"{name}.txt").read_text() for name in LOCKS}
    for name in LOCKS:
        pins = pins_of(texts[name])
        for requirement in _requirements_of((folder / f"{name}.in").read_text()):
            version = pins.get(canonicalize_name(requirement.name))
            if version is None:
                yield f"{name}.txt lacks {requirement.name}. Run `make lock`."
            elif not requirement.specifier.contains(version, prereleases=True):
                yield f"{name}.txt pins {requirement.name}=={version}, but {name}.in asks for {requirement}."
    for smaller, larger in pairwise(LOCKS):
        below, above = pins_of(texts[smaller]), pins_of(texts[larger])
        yield from (
            f"{larger}.txt does not pin {name}=={version}, as {smaller}.txt does. Run `make lock`."
            for name, version in below.items()
            if above.get(name) != version
        )


def _requirements_of(text: str) -> Iterator[Requirement]:
    for line in text.splitlines():
        text = line.partition("#")[0].strip()
        if text and not text.startswith("-"):
            yield Requirement(text)


def differs_when_resolved(folder: Path) -> Iterator[str]:
    """A sentence for each lock file that another resolution, with its pins preferred, would change.

    Hashes are not compared: a project may add a file to a release. Raises SourceUnreachable.
    """
    with tempfile.TemporaryDirectory() as scratch:
        copy = copytree(folder, Path(scratch) / "requirements")
        for name in LOCKS:
            options = ["--quiet", "--universal", "--python-version", "3.11", "--generate-hashes", "--no-header"]
            command = [sys.executable, "-m", "uv", "pip", "compile", *options, f"{name}.in", "-o", f"{name}.txt"]
            done = subprocess.run(command, cwd=copy, capture_output=True, text=True)
            if done.returncode:
                raise SourceUnreachable(f"The package index: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
            before, after = pins_of((folder / f"{name}.txt").read_text()), pins_of((copy / f"{name}.txt").read_text())
            if before != after:
                changed = sorted({key for key, _value in before.items() ^ after.items()})
                yield f"{name}.txt is not what {name}.in resolves to: {', '.join(changed)}. Run `make lock`."


def stray_pth(site_packages: Path) -> Iterator[str]:
    """A sentence for each .pth file that is not known. Python runs lines of these files at every start."""
    for file in sorted(site_packages.glob("*.pth")):
        if file.name not in KNOWN_PTH:
            yield f"{file.name} in site-packages runs whenever Python starts, and is not in KNOWN_PTH."


def ask_osv(body: bytes) -> bytes:
    """OSV's answer to one batch of queries. Raises OSError."""
    request = urllib.request.Request(OSV_URL, data=body, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=OSV_TIMEOUT) as answer:
        content: bytes = answer.read()
    return content


def advisories(pins: Pins, ask: Callable[[bytes], bytes] = ask_osv) -> Iterator[str]:
    """A sentence for each pin with an advisory at OSV. Raises SourceUnreachable."""
    ordered = sorted(pins.items())
    queries = [{"package": {"name": name, "ecosystem": "PyPI"}, "version": str(version)} for name, version in ordered]
    try:
        results = json.loads(ask(json.dumps({"queries": queries}).encode()))["results"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceUnreachable(f"The advisory database OSV: {error}") from error
    for (name, version), result in zip(ordered, results, strict=True):
        if ids := [found["id"] for found in result.get("vulns", ())]:
            yield f"{name}=={version} has advisories: {', '.join(ids)}."


def audit(folder: Path, site_packages: Path) -> list[str]:
    """The faults that can be found without a network."""
    listed = (folder / "known-bad.txt").read_text()
    faults: list[str] = []
    for name in LOCKS:
        lock = (folder / f"{name}.txt").read_text()
        faults += [f"{name}.txt: {fault}" for fault in (*known_bad(pins_of(lock), listed), *missing_hashes(lock))]
    return [*faults, *stale_locks(folder), *stray_pth(site_packages)]


def main() -> int:
    """Print the faults, and what could not be asked; 1 if there are any faults.

    Without a network nothing is known about new advisories. That is no fault of a change, so it is only said.
    """
    faults, unreachable = audit(REQUIREMENTS, Path(sysconfig.get_path("purelib"))), []
    pins = pins_of((REQUIREMENTS / "dev.txt").read_text())
    asked: tuple[Callable[[], Iterator[str]], ...] = (
        lambda: advisories(pins),
        lambda: differs_when_resolved(REQUIREMENTS),
    )
    for check in asked:
        try:
            faults += check()
        except SourceUnreachable as error:
            unreachable.append(str(error))
    print("\n".join(faults) or f"{len(pins)} pins, each with hashes; none is on the list of bad releases.")
    for sentence in unreachable:
        print(f"NOT CHECKED, because it could not be reached. {sentence}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
