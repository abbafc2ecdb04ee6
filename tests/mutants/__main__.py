"""`python -m tests.mutants [WORD…]` removes the guards whose promise or place contains a word, or all of them.

Works on a copy of the sources. A mutant survives if every test that should notice it passes; then the exit status is 1.
A run of all writes docs/mutants.md.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants.guards import GUARDS
from tests.mutants.mutation import TABLE_HEAD, Guard
from tests.postgresql import server_programs

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "mutants.md"

#: Exit status of pytest if tests ran and some failed.
TESTS_FAILED = 1

#: Copies that are tested at the same time.
COPIES = 2

#: The tests that need it use it, see `tests.postgresql`.
HAS_POSTGRESQL = "TEST_DATABASE_URL" in os.environ or server_programs() is not None

HEAD = """# Removed guards

`make test-mutants` removes each of these guards from a copy of the sources, one at a time, and runs the tests beside
it: at least one of them has to fail. This page is written by that run. A guard that is rewritten needs its entry in
`tests/mutants/guards.py` adapted; `tests/house/test_mutants.py` says so.

"""


def main(words: list[str]) -> int:
    """Try the chosen guards; how many survived, or could not be tried, as an exit status."""
    chosen = [guard for guard in GUARDS if not words or any(word in guard.promise + guard.place for word in words)]
    with tempfile.TemporaryDirectory(prefix="newsletter-mutants-") as folder:
        copies = [_copy(Path(folder) / str(number)) for number in range(COPIES)]
        tests = sorted({test for guard in chosen for test in guard.tests})
        if status := _run(copies[0], tests):
            print(f"The tests do not pass with all guards in place (pytest's status: {status}).")
            return 1
        with ThreadPoolExecutor(COPIES) as pool:
            lots = [chosen[number::COPIES] for number in range(COPIES)]
            survivors = sum(pool.map(_try_all, copies, lots))
    print(f"{len(chosen)} guards removed, {survivors} without a failing test.")
    if not words and not survivors:
        PAGE.write_text(HEAD + TABLE_HEAD + "".join(guard.row() for guard in GUARDS))
    return 1 if survivors else 0


def _copy(target: Path) -> Path:
    """A copy of all files that git knows or would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def _try_all(root: Path, guards: list[Guard]) -> int:
    return sum(not _is_noticed(root, guard) for guard in guards)


def _is_noticed(root: Path, guard: Guard) -> bool:
    """Whether a test fails without this guard."""
    file = root / guard.path
    original = file.read_bytes()
    if guard.needs_postgresql and not HAS_POSTGRESQL:
        print(f"NOT TRIED  {guard.promise} ({guard.place}): it needs PostgreSQL.", flush=True)
        return False
    guard.remove_from(root)
    try:
        status = _run(root, guard.tests, needs_postgresql=guard.needs_postgresql)
    finally:
        file.write_bytes(original)
    verdict = {TESTS_FAILED: "noticed", 0: "SURVIVED"}.get(status, f"NOT TRIED (pytest's status: {status})")
    print(f"{verdict:10} {guard.promise} ({guard.place})", flush=True)
    return status == TESTS_FAILED


def _run(root: Path, tests: list[str] | tuple[str, ...], *, needs_postgresql: bool = False) -> int:
    options = ["-q", "-x", "-n", "0", "-p", "no:randomly", "--no-header", "--tb=no"]
    command = [sys.executable, "-B", "-m", "pytest", *options, *tests]
    if needs_postgresql:
        command = [sys.executable, "-B", "-m", "tests.postgresql", *command]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if failed and done.returncode != TESTS_FAILED:
        print("\n".join(failed))
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
