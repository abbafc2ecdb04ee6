"""Jobs for limited processes: unchecked templates, and what a broken renderer does. Imported by the child."""

from __future__ import annotations

import os
import resource
import threading
from pathlib import Path

import orjson
from jinja2.sandbox import ImmutableSandboxedEnvironment
from mjml import mjml2html

from newsletter.rendering.compile import compile_mjml


def fill(request: bytes) -> bytes:
    """Jinja in a sandbox, which does not limit time and memory."""
    return ImmutableSandboxedEnvironment().from_string(request.decode()).render().encode()


def compile_document(request: bytes) -> bytes:
    """MJML that is checked and then rendered."""
    return compile_mjml(request.decode()).encode()


def run_mrml_unchecked(request: bytes) -> bytes:
    """mrml without our checks."""
    return mjml2html(request.decode(), fonts={}).encode()


def nest(request: bytes) -> bytes:
    """Endless recursion."""
    return nest(request)


def wait(_request: bytes) -> bytes:
    """Wait without end."""
    threading.Event().wait()
    return b""


def leave(_request: bytes) -> bytes:
    """Exit without a response."""
    os._exit(7)


def write_a_file(_request: bytes) -> bytes:
    """Write a file."""
    return str(Path("left-behind").write_text("x")).encode()


def tell_limits(_request: bytes) -> bytes:
    """The environment variables that the job sees, and its limits."""
    limits = {name: resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[0] for name in ("AS", "NPROC", "CORE")}
    return orjson.dumps({"environment": sorted(os.environ), **limits})
