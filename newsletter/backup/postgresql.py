"""Dumps and loads a PostgreSQL database with the server's own programs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import psycopg
from django.db import connection, transaction

from newsletter.config.environment import program_environment

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


def dump(target: Path, snapshot_name: str) -> None:
    """Dump the database as of the snapshot. Raises ProgramFailed."""
    command = ["pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot_name}"]
    _run([*command, f"--file={target}", f"--dbname={_address()}"])


def load(source: Path, *, before: str, after: str) -> None:
    """Load the dump and run SQL before and after it, in one transaction. Raises ProgramFailed.

    So no process ever sees the loaded tables without what `after` does. The COMMIT is the last line that psql reads: if
    this process is killed, psql reads less, and PostgreSQL rolls back when it disconnects. (Its own option
    --single-transaction commits at the end of its input, wherever that is.)
    """
    read = ["pg_restore", "--no-owner", "--no-privileges", "--file=-", str(source)]
    write = ["psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null"]
    with (
        _started(read, stdout=subprocess.PIPE) as dumper,
        _started([*write, "--file=-", f"--dbname={_address()}"], stdin=subprocess.PIPE) as writer,
    ):
        assert dumper.stdout is not None and writer.stdin is not None  # noqa: S101, PT018 - both are pipes
        try:
            writer.stdin.write(f"BEGIN; SET client_min_messages = warning; {before}\n".encode())
            _copy(dumper.stdout, writer.stdin)
            dump_failure = _failure_of(dumper)
            if not dump_failure:
                writer.stdin.write(f"{after}\n;COMMIT;\n".encode())
            writer.stdin.close()
        except BrokenPipeError:
            # psql has ended, and says why.
            dumper.kill()
            dump_failure = ""
        failure = dump_failure or _failure_of(writer)
    if failure:
        raise ProgramFailed(failure)


def _copy(source: IO[bytes], target: IO[bytes]) -> None:
    while chunk := source.read(1 << 16):
        target.write(chunk)


def _failure_of(process: subprocess.Popen[bytes]) -> str:
    """What the program says if it has failed; empty if it has not."""
    errors = process.stderr.read().decode(errors="replace") if process.stderr else ""
    return _sentence(str(process.args[0]), errors) if process.wait() else ""  # type: ignore[index]


@contextmanager
def _started(command: list[str], **pipes: int) -> Iterator[subprocess.Popen[bytes]]:
    try:
        process = subprocess.Popen(command, stderr=subprocess.PIPE, env=_environment(), **pipes)  # type: ignore[call-overload]  # noqa: S603
    except FileNotFoundError as error:
        raise ProgramFailed(_missing(command[0])) from error
    try:
        yield process
    finally:
        for stream in (process.stdin, process.stdout):
            if stream and not stream.closed:
                stream.close()
        if process.poll() is None:
            process.terminate()
        process.wait()
        process.stderr.close()


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, env=_environment(), capture_output=True, text=True)  # noqa: S603 - our own arguments
    except FileNotFoundError as error:
        raise ProgramFailed(_missing(command[0])) from error
    if done.returncode:
        raise ProgramFailed(_sentence(command[0], done.stderr))


def _missing(program: str) -> str:
    return f"{program} is not installed. It belongs to PostgreSQL's client programs (Debian: postgresql-client)."


def _sentence(program: str, errors: str) -> str:
    return f"{program} failed: {' '.join(errors.split())[-600:]}"


def _address() -> str:
    """Where the database is, without the password, which other accounts could read in the list of processes."""
    known = {"dbname", "user", "host", "port"} | {name for name in _parameters() if name.startswith("ssl")}
    return psycopg.conninfo.make_conninfo("", **{name: value for name, value in _parameters().items() if name in known})


def _parameters() -> dict[str, str]:
    parameters = connection.get_connection_params()
    plain = {name: str(value) for name, value in parameters.items() if isinstance(value, str | int)}
    return {name: value for name, value in plain.items() if value}


def _environment() -> dict[str, str]:
    return program_environment({"PGPASSWORD": _parameters().get("password", "")})
