"""A machine in a folder: stands in for the programs of docs/run-it.md that would change the machine of the tests.

`programs_of` makes a folder of programs with the names that the page uses. Each runs this module, which does inside the
folder what the real one does to a machine: `systemctl` starts the very command line of a unit, with its user, working
directory and an environment as empty as systemd's; `nginx` runs the real nginx with the site that the page installs.
"""

from __future__ import annotations

import configparser
import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

#: What is replaced by a program of this module, with what that does instead.
STAND_INS = {
    "sudo": "runs the command as the account of the test",
    "apt-get": "checks that the packages are those that Debian has; nothing is installed",
    "useradd": "notes the account",
    "make": "runs `make install` with the packages that the tests have, as links",
    "systemctl": "starts and stops the commands of the units",
    "certbot": "makes a self-signed certificate at the place where certbot puts it",
    "nginx": "runs nginx with the installed site on free ports",
    "createuser": "runs it as PostgreSQL's administrator",
    "createdb": "runs it as PostgreSQL's administrator",
    "curl": "runs curl with the ports and the certificate of the test",
}


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where everything is. `ports` maps those of a real machine to free ones."""

    root: str
    ports: dict[str, int]
    account: int | None
    """The user id of the account `newsletter`; None: that of the test."""
    python: list[str]
    """The interpreter and its packages, which `make install` links."""
    administrator: dict[str, str]
    """The environment of PostgreSQL's administrator."""
    host: str

    @property
    def run(self) -> Path:
        return Path(self.root) / "run"

    def own(self, *names: str) -> Path:
        return Path(self.root, *names)

    def as_account(self) -> dict[str, Any]:
        """How `subprocess` starts a program of the account."""
        return {} if self.account is None else {"user": self.account, "group": self.account}

    def account_environment(self) -> dict[str, str]:
        """PostgreSQL takes the name of the account as that of the role."""
        return {**self.administrator, "PGUSER": "newsletter"}


def programs_of(machine: Machine) -> Path:
    """Make the folder of programs."""
    folder = machine.own("bin")
    folder.mkdir()
    machine.run.mkdir()
    # The account may not be allowed to read the project.
    module = shutil.copy(__file__, machine.own("machine.py"))
    machine.own("machine.json").write_text(json.dumps(asdict(machine)))
    for name in STAND_INS:
        path = folder / name
        path.write_text(f'#!/bin/sh\nexec env {shlex.join(machine.python)} {module} {machine.root} {name} "$@"\n')
        path.chmod(0o755)
    return folder


def stop_all(machine: Machine) -> None:
    """End every process that `systemctl` and `nginx` have started."""
    for file in machine.run.glob("*.pid"):
        _stop(file)


def _stop(file: Path) -> None:
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        os.killpg(int(file.read_text()), signal.SIGTERM)
    file.unlink(missing_ok=True)


def sudo(machine: Machine, arguments: list[str]) -> int:
    """`sudo [-u ACCOUNT] COMMAND`."""
    if arguments[0] == "-u" and arguments[1] == "newsletter":
        environment = {**os.environ, **machine.account_environment(), "HOME": str(machine.own("srv", "newsletter"))}
        command = [_word(machine, word) for word in arguments[2:]]
        if command[1:3] == ["manage.py", "createsuperuser"]:
            # The passwords of real ones are typed in a terminal.
            command.append("--noinput")
            environment |= {f"DJANGO_SUPERUSER_{name}": "edda@example.org" for name in ("USERNAME", "EMAIL")}
            environment["DJANGO_SUPERUSER_PASSWORD"] = "a long password for a test"
        return subprocess.run(command, env=environment, umask=0o022, **machine.as_account()).returncode
    command = arguments[2:] if arguments[0] == "-u" else arguments
    if command[:5] == ["install", "-d", "-o", "newsletter", "-g"]:
        folder = Path(command[-1])
        folder.mkdir(mode=0o755, parents=True)
        if machine.account is not None:
            os.chown(folder, machine.account, machine.account)
        return 0
    return subprocess.run(command).returncode


def _word(machine: Machine, word: str) -> str:
    """`make` and `git` are looked up in our folder; relative paths are those of the working directory."""
    return str(machine.own("bin", word)) if word in STAND_INS else word


def apt_get(machine: Machine, arguments: list[str]) -> int:
    packages = [word for word in arguments if not word.startswith("-")][1:]
    known = {"git", "make", "python3-venv", "curl", "nginx", "certbot", "postgresql"}
    return 0 if set(packages) <= known else 1


def useradd(machine: Machine, arguments: list[str]) -> int:
    return 0 if arguments[-1] == "newsletter" else 1


def make(machine: Machine, arguments: list[str]) -> int:
    """`make install`: programs that run the interpreter of the tests with its packages."""
    if arguments != ["install"]:
        return 1
    folder = Path(".venv/bin")
    folder.mkdir(parents=True, exist_ok=True)
    for name, module in {"python": [], "gunicorn": ["-m", "gunicorn"]}.items():
        path = folder / name
        path.write_text(f'#!/bin/sh\nexec env {shlex.join([*machine.python, *module])} "$@"\n')
        path.chmod(0o755)
    return 0


def systemctl(machine: Machine, arguments: list[str]) -> int:
    action, *units = [word for word in arguments if not word.startswith("-")]
    for unit in units:
        if unit == "nginx":
            if subprocess.run([machine.own("bin", "nginx"), "-t"]).returncode:
                return 1
            _start_nginx(machine)
            continue
        if action in ("stop", "restart"):
            _stop(machine.run / f"{unit}.pid")
        if action in ("enable", "start", "restart"):
            _start_unit(machine, unit)
    return 0


def _start_unit(machine: Machine, unit: str) -> None:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(machine.own("etc", "systemd", "system", f"{unit}.service"), encoding="utf-8")
    service = {name: _placed(machine, value) for name, value in parser["Service"].items()}
    assert service["User"] == "newsletter"
    with machine.own("run", f"{unit}.log").open("ab") as log:
        process = subprocess.Popen(
            shlex.split(service["ExecStart"]),
            cwd=service["WorkingDirectory"],
            # As empty as that of a unit; PostgreSQL of the test is not at its usual place.
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", **machine.account_environment()},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            **machine.as_account(),
        )
    machine.own("run", f"{unit}.pid").write_text(str(process.pid))


def _placed(machine: Machine, text: str) -> str:
    """Part of a unit or of a site, with the places and the port of this machine."""
    for place in ("/srv/newsletter", "/etc/letsencrypt", "/var/www"):
        text = text.replace(place, f"{machine.root}{place}")
    return text.replace("127.0.0.1:8000", f"127.0.0.1:{machine.ports['8000']}")


def certbot(machine: Machine, arguments: list[str]) -> int:
    host = arguments[arguments.index("--domain") + 1]
    folder = machine.own("etc", "letsencrypt", "live", host)
    folder.mkdir(parents=True)
    key, certificate = folder / "privkey.pem", folder / "fullchain.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-days", "2", "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}"]
    return subprocess.run([*command, "-keyout", key, "-out", certificate, *names], capture_output=True).returncode


def nginx(machine: Machine, arguments: list[str]) -> int:
    """`nginx -t` with the enabled sites."""
    enabled = machine.own("etc", "nginx", "sites-enabled")
    sites = [_site(machine, path.read_text(encoding="utf-8")) for path in sorted(enabled.iterdir())]
    folder = machine.own("run", "nginx")
    folder.mkdir(exist_ok=True)
    paths = "\n".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = (
        f"pid {folder}/pid;\nerror_log {folder}/error.log;\nworker_processes 1;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{paths}\n" + "\n".join(sites) + "\n}\n"
    )
    (folder / "nginx.conf").write_text(text, encoding="utf-8")
    return subprocess.run([*_nginx(machine), *arguments]).returncode


def _nginx(machine: Machine) -> list[str]:
    folder = machine.own("run", "nginx")
    return ["/usr/sbin/nginx", "-p", str(folder), "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"]


def _site(machine: Machine, text: str) -> str:
    """The site on free ports. Machines of tests may have no IPv6."""
    lines = [line for line in text.splitlines() if "listen [::]" not in line]
    text = _placed(machine, "\n".join(lines))
    for port in ("80", "443"):
        text = text.replace(f"listen {port}", f"listen 127.0.0.1:{machine.ports[port]}")
    return text


def _start_nginx(machine: Machine) -> None:
    with machine.own("run", "nginx.log").open("ab") as log:
        process = subprocess.Popen(
            [*_nginx(machine), "-g", "daemon off;"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    machine.own("run", "nginx.pid").write_text(str(process.pid))


def createuser(machine: Machine, arguments: list[str]) -> int:
    return subprocess.run(["/usr/bin/createuser", *arguments], env={**os.environ, **machine.administrator}).returncode


def createdb(machine: Machine, arguments: list[str]) -> int:
    return subprocess.run(["/usr/bin/createdb", *arguments], env={**os.environ, **machine.administrator}).returncode


def curl(machine: Machine, arguments: list[str]) -> int:
    certificate = machine.own("etc", "letsencrypt", "live", machine.host, "fullchain.pem")
    place = ["--connect-to", f"{machine.host}:443:127.0.0.1:{machine.ports['443']}", "--cacert", str(certificate)]
    patient = ["--silent", "--show-error", "--retry", "60", "--retry-delay", "1", "--retry-all-errors"]
    return subprocess.run(["/usr/bin/curl", *place, *patient, *arguments]).returncode


def main(arguments: list[str]) -> int:
    """Run one program of the machine."""
    root, name, *rest = arguments
    machine = Machine(**json.loads(Path(root, "machine.json").read_text()))
    program = globals()[name.replace("-", "_")]
    return int(program(machine, rest))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
