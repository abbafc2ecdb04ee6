"""Dumps and loads a PostgreSQL database with the server's own programs."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import psycopg
from django.db import connection, transaction

from newsletter.config.environment import program_environment
from subscribers.directory.search import POSTGRESQL_INDEXES

#: Tables and functions of ours, by the names of the apps that make them.
OUR_NAMES = "^(newsletter|subscribers|auth|django)_"

#: Removes what an earlier state of the installation has left, of any version.
DROP_OURS = f"""
DO $drop$
DECLARE each record;
BEGIN
    FOR each IN SELECT c.oid::regclass AS name FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace
        AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname ~ '{OUR_NAMES}'
    LOOP
        EXECUTE format('DROP TABLE IF EXISTS %s CASCADE', each.name);
    END LOOP;
    FOR each IN SELECT p.oid::regprocedure AS name FROM pg_proc p
        WHERE p.pronamespace = current_schema()::regnamespace AND p.proname ~ '{OUR_NAMES}'
    LOOP
        EXECUTE format('DROP FUNCTION IF EXISTS %s CASCADE', each.name);
    END LOOP;
END $drop$;
"""  # noqa: S608 - names of our own


#: Parameters of libpq that hold a secret. There is a variable of the environment for the first only.
SECRET_PARAMETERS = frozenset(
    {"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"}
)


class ProgramFailed(Exception):
    """pg_dump, pg_restore or psql failed; the message has its own words."""


@contextmanager
def snapshot() -> Iterator[str]:
    """A transaction in which this connection and `dump` see the same state; the snapshot's name."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SELECT pg_export_snapshot()")
        (name,) = cursor.fetchone()
        yield str(name)


def rows(sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query."""
    with connection.cursor() as cursor:
        cursor.execute(sql)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


def schema_name() -> str:
    """The schema that the tables are in: the first in the search path that exists. Raises ProgramFailed."""
    ((name,),) = rows("SELECT current_schema()")
    if name is None:
        raise ProgramFailed("The schema in the search path of DATABASE_URL does not exist. Create it: CREATE SCHEMA ….")
    return str(name)


def quoted(name: str) -> str:
    """The name as an identifier in SQL and in patterns of pg_dump."""
    return '"' + name.replace('"', '""') + '"'


def dump(target: Path, snapshot_name: str) -> None:
    """Dump our schema as of the snapshot. Raises ProgramFailed."""
    command = ["pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot_name}"]
    # With `--schema=public`, the dump would create this schema, which every new database has.
    others = rows(
        "SELECT nspname FROM pg_namespace WHERE nspname <> current_schema() AND nspname !~ '^pg_' "
        "AND nspname <> 'information_schema'"
    )
    without = [f"--exclude-schema={quoted(name)}" for (name,) in others]
    with _access() as (address, environment):
        _run([*command, *without, f"--file={target}", f"--dbname={address}"], environment)


def load(source: Path, *, before: str, after: str) -> None:
    """Load the dump and run SQL before and after it, in one transaction. Raises ProgramFailed.

    So no process ever sees the loaded tables without what `after` does. COMMIT is the last line: if this process is
    killed, or anything fails, psql gets the end of its input or a signal before that line, and the server rolls back.
    `psql --single-transaction` would commit at the end of its input.
    """
    read = ["pg_restore", "--no-owner", "--no-privileges", f"--schema={schema_name()}", "--file=-"]
    connection.close()
    contents = source.with_name("contents")
    contents.write_text(_without_search(source), encoding="utf-8")
    read += [f"--use-list={contents}", str(source)]
    write = ["psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null", "--file=-"]
    with (
        _access() as (address, environment),
        _started(read, environment, stdout=subprocess.PIPE) as dumper,
        _started([*write, f"--dbname={address}"], environment, stdin=subprocess.PIPE) as writer,
    ):
        failure = _transfer(dumper, writer, before=before, after=after)
    if failure:
        raise ProgramFailed(failure)


def _without_search(source: Path) -> str:
    """The dump's table of contents without the indexes of the search, which `migrate` makes where the server can."""
    listed = _run(["pg_restore", "--list", str(source)], program_environment({}))
    lines = listed.splitlines(keepends=True)
    return "".join(line for line in lines if not any(f" {name} " in line for name in POSTGRESQL_INDEXES))


def _transfer(dumper: subprocess.Popen[bytes], writer: subprocess.Popen[bytes], *, before: str, after: str) -> str:
    """Write the transaction to psql; what has failed, empty if nothing has."""
    assert dumper.stdout is not None and writer.stdin is not None  # noqa: S101, PT018 - both are pipes
    try:
        writer.stdin.write(f"BEGIN;\nSET client_min_messages = warning;\n{before}\n".encode())
        _copy(dumper.stdout, writer.stdin)
        if failure := _failure_of(dumper):
            return failure
        writer.stdin.write(f"{after}\n;COMMIT;\n".encode())
        writer.stdin.close()
    except BrokenPipeError:
        # psql has ended, and says why.
        dumper.kill()
    return _failure_of(writer)


def _copy(source: IO[bytes], target: IO[bytes]) -> None:
    while chunk := source.read(1 << 16):
        target.write(chunk)


def _failure_of(process: subprocess.Popen[bytes]) -> str:
    """What the program says if it has failed; empty if it has not."""
    errors = process.stderr.read().decode(errors="replace") if process.stderr else ""
    return _sentence(str(process.args[0]), errors) if process.wait() else ""  # type: ignore[index]


@contextmanager
def _started(command: list[str], environment: dict[str, str], **pipes: int) -> Iterator[subprocess.Popen[bytes]]:
    """A program that is ended with the block. It gets the signal before the end of its input, which it could act on."""
    try:
        process = subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, **pipes)  # type: ignore[call-overload]  # noqa: S603
    except FileNotFoundError as error:
        raise ProgramFailed(_missing(command[0])) from error
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            _close(stream)


def _close(stream: IO[bytes] | None) -> None:
    """Close a pipe; what is left in its buffer is not needed."""
    with suppress(BrokenPipeError):
        if stream:
            stream.close()


def _run(command: list[str], environment: dict[str, str]) -> str:
    """What the program prints. Raises ProgramFailed."""
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True)  # noqa: S603 - our own arguments
    except FileNotFoundError as error:
        raise ProgramFailed(_missing(command[0])) from error
    if done.returncode:
        raise ProgramFailed(_sentence(command[0], done.stderr))
    return done.stdout


def _missing(program: str) -> str:
    return f"{program} is not installed. It belongs to PostgreSQL's client programs (Debian: postgresql-client)."


def _sentence(program: str, errors: str) -> str:
    return f"{program} failed: {' '.join(errors.split())[-600:]}"


@contextmanager
def _access() -> Iterator[tuple[str, dict[str, str]]]:
    """The connection string for a program, and its environment.

    Other accounts can read the string in the list of processes, so it holds no secret. The password is in the
    environment; the other secrets are in a service file, which only this account may read.
    """
    parameters = _parameters()
    plain = {name: value for name, value in parameters.items() if name not in SECRET_PARAMETERS}
    password = {"PGPASSWORD": parameters.get("password", "")}
    hidden = {name: parameters[name] for name in SECRET_PARAMETERS - {"password"} if name in parameters}
    if not hidden:
        yield psycopg.conninfo.make_conninfo("", **plain), program_environment(password)
        return
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="newsletter-", suffix=".conf") as file:
        file.write("[newsletter]\n" + "".join(f"{name}={value}\n" for name, value in hidden.items()))
        file.flush()
        address = psycopg.conninfo.make_conninfo("", **{"service": "newsletter", **plain})
        yield address, program_environment({**password, "PGSERVICEFILE": file.name})


def _parameters() -> dict[str, str]:
    """All parameters of libpq that this program connects with, without those of Django and psycopg."""
    known = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()}
    parameters = connection.get_connection_params()
    return {name: str(value) for name, value in parameters.items() if name in known and value not in (None, "")}
