"""The commands, queues, settings and files that docs/ and docs/deploy name exist."""

from __future__ import annotations

import configparser
import importlib
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from celery.bin.beat import beat
from celery.bin.worker import worker
from django.core.management import get_commands
from gunicorn.workers.base import Worker

from newsletter.config.configuration import PROJECT_ROOT, Configuration
from newsletter.monitoring.heartbeat import Queue

DEPLOY = PROJECT_ROOT / "docs" / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
DOCUMENTS = [PROJECT_ROOT / "README.md", *sorted((PROJECT_ROOT / "docs").glob("*.md"))]
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))

#: The keys of a service in the Compose specification that we use.
KNOWN_KEYS = {
    "build", "command", "depends_on", "env_file", "environment", "healthcheck", "image", "ports", "restart", "shm_size",
    "stop_grace_period", "volumes",
}  # fmt: skip

#: The version of PostgreSQL in each release of Debian, by its code name.
DEBIAN_POSTGRESQL = {"bookworm": "15", "trixie": "17"}

#: Seconds that one post may take. A worker that is stopped gets more time than this.
LONGEST_POST = 65


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]
    return found


def own_services() -> dict[str, dict[str, Any]]:
    """The services that run our image, each with its command or, without one, the command of the image."""
    found = {name: service for name, service in services().items() if service["image"] == "newsletter"}
    return {name: {"command": image_command(), **service} for name, service in found.items()}


def image_command() -> list[str]:
    (command,) = re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    words: list[str] = yaml.safe_load(command)
    return words


def check_command(words: list[str]) -> set[str]:
    """Fail if the program does not accept these arguments. Return the queues that a Celery worker consumes."""
    program, *rest = [Path(words[0]).name, *words[1:]]
    if program == "python":
        assert rest[0] == "manage.py"
        assert rest[1] in get_commands()
        return set()
    if program == "gunicorn":
        # All else is set in gunicorn.conf.py, which gunicorn reads from its working directory.
        assert rest[:2] == ["newsletter.wsgi", "--bind"]
        assert len(rest) == 3
        return set()
    assert program == "celery"
    words = [part for word in rest for part in word.split("=", 1)]
    assert words[:2] == ["--app", "newsletter.celery"]
    command = {"worker": worker, "beat": beat}[words[2]]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words[3:] if word.startswith("-")} <= known
    return set(words[words.index("--queues") + 1].split(",")) if "--queues" in words else set()


def test_the_compose_file_has_one_worker_for_each_queue() -> None:
    queues = [check_command(service["command"]) for service in own_services().values()]
    assert set().union(*queues) == set(Queue)
    assert sum(len(each) for each in queues) == len(Queue), "confirmation mails never wait for an issue"


def test_the_compose_file_sets_existing_settings() -> None:
    fields = {name.upper() for name in Configuration.model_fields}
    for name, service in own_services().items():
        assert set(service["environment"]) <= fields, name
        assert (DEPLOY / service["env_file"]).resolve() == PROJECT_ROOT / ".env"
        assert (DEPLOY / service["build"]["context"]).resolve() == PROJECT_ROOT
        assert (PROJECT_ROOT / service["build"]["dockerfile"]).is_file()


def test_dependencies_in_the_compose_file_can_be_met() -> None:
    everything = services()
    for name, service in everything.items():
        assert set(service) <= KNOWN_KEYS, name
        for needed, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in everything[needed], f"{name} never starts: {needed} has no healthcheck"
            else:
                assert how["condition"] == "service_completed_successfully"
                assert everything[needed]["restart"] == "no"


def test_the_image_has_the_client_programs_of_the_database_server() -> None:
    """pg_dump refuses a newer server."""
    (server,) = re.findall(r"^postgres:(\d+)$", services()["database"]["image"])
    (release,) = re.findall(r"^FROM python:[\d.]+-slim-(\w+)$", DOCKERFILE, re.MULTILINE)
    assert re.findall(r"^[^#]*\bpostgresql-client-(\d+)\b", DOCKERFILE, re.MULTILINE) == [server]
    assert DEBIAN_POSTGRESQL[release] == server, "the package exists in this release"


def test_each_own_service_keeps_the_mark_of_the_database_in_a_volume_that_its_account_may_write() -> None:
    (folder,) = re.findall(r"^WORKDIR (.+)$", DOCKERFILE, re.MULTILINE)
    (account,) = re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE)
    made = re.search(rf"^RUN install --directory --owner={account} .*{folder}/var$", DOCKERFILE, re.MULTILINE)
    assert made, "a new volume gets the owner of the directory in the image"
    assert DOCKERFILE.index("useradd") < made.start() < DOCKERFILE.index("\nUSER ")
    for name, service in own_services().items():
        (volume,) = [each.split(":")[0] for each in service["volumes"] if each.endswith(f":{folder}/var")]
        assert volume in named_volumes(), name


def named_volumes() -> set[str]:
    return set(yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["volumes"])


def test_the_guide_names_services_of_the_compose_file() -> None:
    text = (PROJECT_ROOT / "docs" / "run-it.md").read_text(encoding="utf-8")
    lines = re.findall(r"^docker compose -f docs/deploy/compose\.yaml (\w+) (.+)$", text, re.MULTILINE)
    named = {command: [word for word in words.split() if not word.startswith("-")] for command, words in lines}
    assert set(named["stop"]) == set(own_services()) - {"migrate"}, "nothing uses the database while it is restored"
    used = {named["exec"][0], named["run"][0], named["cp"][0].partition(":")[0]}
    assert used <= set(own_services())


@pytest.mark.processes
@pytest.mark.own_database
def test_the_image_contains_all_files_that_a_process_needs(tmp_path: Path) -> None:
    for copied in re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE):
        *sources, target = copied.split()
        for source in sources:
            place = tmp_path / target / ("" if (PROJECT_ROOT / source).is_dir() else source.rpartition("/")[2])
            copy = shutil.copytree if (PROJECT_ROOT / source).is_dir() else shutil.copy
            place.parent.mkdir(parents=True, exist_ok=True)
            copy(PROJECT_ROOT / source, place)
    environment = {
        "PATH": os.environ["PATH"],
        "NEWSLETTER_ENV_FILE": os.devnull,
        "SITE_URL": "https://digest.example.org",
        "SECRET_KEY": "image-" + "k" * 50,
        "SUPPRESSION_SECRET": "image-" + "s" * 32,
        "DATABASE_URL": f"sqlite:///{tmp_path}/image.sqlite3",
        "TRUSTED_PROXIES": "1",
    }
    for arguments in (
        ["manage.py", "check", "--deploy"],
        ["manage.py", "migrate", "--verbosity", "0"],
        ["manage.py", "check_theme", "plain"],
        ["-m", "gunicorn", *image_command()[1:], "--check-config"],
    ):
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_dockerignore_file_admits_what_the_image_copies() -> None:
    admitted = re.findall(r"^!(.+)$", (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8"), re.MULTILINE)
    sources = [word for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE) for word in line.split()[:-1]]
    assert sources
    assert {source.split("/")[0] for source in sources} == set(admitted)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: str(unit.stem))
def test_each_unit_runs_an_existing_command_and_stops_after_the_longest_post(unit: Path) -> None:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(unit, encoding="utf-8")
    service = parser["Service"]
    words = shlex.split(service["ExecStart"])
    assert words[0].startswith(service["WorkingDirectory"] + "/.venv/bin/")
    assert check_command(words) in (set(), {"%i"})
    assert service["Restart"] == "always"
    if {"worker"} & set(words):
        assert int(service["TimeoutStopSec"]) > LONGEST_POST


def test_the_web_server_gets_more_time_to_stop_than_it_takes() -> None:
    settings = runpy.run_path(str(PROJECT_ROOT / "gunicorn.conf.py"))
    unit = (DEPLOY / "systemd" / "newsletter-web.service").read_text(encoding="utf-8")
    limits = re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    limits += [str(services()["web"]["stop_grace_period"]).removesuffix("s")]
    assert all(int(limit) > settings["graceful_timeout"] for limit in limits)
    assert len(limits) == 2


def test_the_web_server_is_started_the_same_way_everywhere() -> None:
    settings = runpy.run_path(str(PROJECT_ROOT / "gunicorn.conf.py"))
    assert settings["workers"] > 1, "one process answers while another is replaced"
    assert settings["control_socket_disable"]
    place, name = settings["worker_class"].rsplit(".", 1)
    assert issubclass(getattr(importlib.import_module(place), name), Worker)
    folder = re.findall(r"^WORKDIR (.+)$", DOCKERFILE, re.MULTILINE)
    assert re.search(r"^COPY .*\bgunicorn\.conf\.py\b.* \./$", DOCKERFILE, re.MULTILINE)
    assert folder == ["/app"]
    assert own_services()["web"]["command"] == image_command()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.name))
def test_each_command_in_the_docs_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT_ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"manage\.py ([a-z_]+)", text)) <= set(get_commands())
    assert set(re.findall(r"^(?:.*`)?make ([a-z][a-z-]+)", text, re.MULTILINE)) <= targets
    for line in re.findall(r"^(?:\S*/)?(celery .+)$", text, re.MULTILINE):
        check_command(shlex.split(line))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.name))
def test_each_file_that_the_docs_link_to_exists(document: Path) -> None:
    for link in re.findall(r"\]\((?!https?:|mailto:)([^)#\s]+)[^)]*\)", document.read_text(encoding="utf-8")):
        assert (document.parent / link).exists(), link
