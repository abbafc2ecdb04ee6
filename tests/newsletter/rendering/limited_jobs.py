"""Jobs for the fence: a template rendered as it comes, and what a broken renderer does. Imported by the child."""

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
    """Jinja in a sandbox: it stops no template from taking all time and memory."""
    return ImmutableSandboxedEnvironment().from_string(request.decode()).render().encode()


def compile_document(request: bytes) -> bytes:
    """Our own way: checked, then rendered."""
    return compile_mjml(request.decode()).encode()


def run_mrml_unchecked(request: bytes) -> bytes:
    """mrml without a check before it."""
    return mjml2html(request.decode(), fonts={}).encode()


def nest(request: bytes) -> bytes:
    """Python nested without end."""
    return nest(request)


def wait(_request: bytes) -> bytes:
    """Neither compute nor answer."""
    threading.Event().wait()
    return b""


def leave(_request: bytes) -> bytes:
    """End without a word."""
    os._exit(7)


def write_a_file(_request: bytes) -> bytes:
    """Leave something on the disk."""
    return str(Path("left-behind").write_text("x")).encode()


def tell_limits(_request: bytes) -> bytes:
    """The names in the environment that the job sees, and the limits that it runs under."""
    limits = {name: resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[0] for name in ("AS", "NPROC", "CORE")}
    return orjson.dumps({"environment": sorted(os.environ), **limits})
