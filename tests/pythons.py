"""The other Pythons: `python -m tests.pythons 3.12 3.13` runs tests under each, in an environment of its own.

An interpreter is taken from the PATH or from pyenv; with CI set, uv downloads one that is missing, if it can. Where
there is none, the last lines name the versions that were not tested; with REQUIRE_PYTHONS set, the run fails then. The
tests are those that use most of the interpreter: SQL, HTTP, threads, dates and signatures.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

TESTS = (
    "tests/sandbox/test_sending.py",
    "tests/sandbox/test_server.py",
    "tests/sandbox/test_webhooks.py",
    "tests/newsletter/config",
    "tests/newsletter/events",
    "tests/subscribers/test_tokens.py",
)
LEFT_OUT = (
    "not postgresql and not processes and not browser and not fidelity and not faults and not scale and not upgrade"
)

SOURCES = ("manage.py", "newsletter", "subscribers", "tests")


def interpreter(version: str) -> Path | None:
    """An interpreter of this version, such as 3.12; None if this machine has none."""
    candidates = [shutil.which(f"python{version}"), *_of_pyenv(version)]
    return next((Path(found) for found in candidates if found and _version_of(found) == version), None)


def downloaded(version: str, folder: Path = ROOT / "var" / "pythons" / "downloaded") -> Path | None:
    """An interpreter that uv downloads into `folder`; None if it cannot be downloaded, which is printed."""
    command = [sys.executable, "-m", "uv", "python", "install", "--no-bin", "--install-dir", str(folder), version]
    limits = {"UV_HTTP_TIMEOUT": "30", "UV_HTTP_RETRIES": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **limits})
    if done.returncode:
        print(f"Python {version} cannot be downloaded: {(done.stderr.strip().splitlines() or ['?'])[-1]}", flush=True)
    found = sorted(folder.glob(f"cpython-{version}*/bin/python{version}"))
    return next((each for each in found if _version_of(str(each)) == version), None)


def _of_pyenv(version: str) -> list[str]:
    try:
        root = subprocess.run(["pyenv", "root"], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return []
    return [str(found) for found in sorted(Path(root).glob(f"versions/{version}.*/bin/python"), reverse=True)]


def _version_of(program: str) -> str:
    """Major and minor version; empty if the program does not run, as pyenv's links to versions that are not chosen."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([program, "-c", code], capture_output=True, text=True)
    return done.stdout.strip()


def check(version: str, program: Path, arguments: list[str]) -> int:
    """Install the pinned packages for this interpreter, compile all sources, and run the tests; an exit status."""
    folder = ROOT / "var" / "pythons" / version
    python = str(folder / "bin" / "python")
    if not Path(python).exists():
        subprocess.run([program, "-m", "venv", folder], check=True)
    lock = str(ROOT / "requirements" / "dev.txt")
    install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r"]
    subprocess.run([*install, lock], check=True)
    # A warning of the compiler, such as one about an escape sequence, is an error.
    compiled = subprocess.run([python, "-W", "error", "-m", "compileall", "-q", "-f", *SOURCES], cwd=ROOT)
    tests = [] if any(not argument.startswith("-") for argument in arguments) else list(TESTS)
    run = [python, "-m", "pytest", "-q", "-n", "auto", "-m", LEFT_OUT, *tests, *arguments]
    return compiled.returncode or subprocess.run(run, cwd=ROOT).returncode


def main(arguments: list[str]) -> int:
    """Check each version that is named before the first option or path."""
    versions = [argument for argument in arguments if argument.replace(".", "").isdigit()]
    others = arguments[len(versions) :]
    failed, missing = 0, []
    for version in versions:
        program = interpreter(version) or (downloaded(version) if os.environ.get("CI") else None)
        if program is None:
            missing.append(version)
            continue
        print(f"Python {version}", flush=True)
        failed += check(version, program, others) != 0
    tested = [version for version in versions if version not in missing]
    print(f"Tested with: {', '.join(tested) or 'no other Python'}.", flush=True)
    for version in missing:
        print(f"NOT tested with Python {version}: it is not on the PATH, and not in pyenv.", flush=True)
    return 1 if failed or (missing and os.environ.get("REQUIRE_PYTHONS")) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
