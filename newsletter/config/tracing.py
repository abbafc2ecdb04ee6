"""Spans around steps and posts, where OpenTelemetry is installed and asked for; else next to nothing happens.

Install the extra (`pip install '.[otel]'` or its two packages) and set any OTEL_ variable, such as
OTEL_EXPORTER_OTLP_ENDPOINT.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Protocol

from newsletter.config.environment import tracing_is_wanted

log = logging.getLogger(__name__)

Value = str | int | float | bool


class Span(Protocol):
    """What a piece of work may say about itself."""

    def note(self, **attributes: Value) -> None:
        """Write down what became known. Never an address or a title."""

    def drop(self) -> None:
        """Leave no trace: there was nothing to do."""


class _NoSpan:
    """Nobody is watching."""

    __slots__ = ()

    def note(self, **attributes: Value) -> None:
        """Nothing."""

    def drop(self) -> None:
        """Nothing."""


class _OpenSpan:
    """A span of OpenTelemetry's. One that is never ended is never exported: so it is dropped."""

    __slots__ = ("is_dropped", "otel")

    def __init__(self, otel: Any) -> None:
        self.otel, self.is_dropped = otel, False

    def note(self, **attributes: Value) -> None:
        """Keep them under our name."""
        self.otel.set_attributes({f"newsletter.{name}": value for name, value in attributes.items()})

    def drop(self) -> None:
        """Do not end it."""
        self.is_dropped = True


NO_SPAN = _NoSpan()


@contextmanager
def span(name: str, **attributes: Value) -> Iterator[Span]:
    """Do a piece of work under a span; spans inside it become its children. An exception is recorded and raised on."""
    tracer = find_tracer()
    if tracer is None:
        yield NO_SPAN
        return
    opened = _OpenSpan(tracer.start_span(name))
    opened.note(**attributes)
    trace = importlib.import_module("opentelemetry.trace")
    try:
        # Only its class is recorded: what it says may hold an address.
        with trace.use_span(opened.otel, end_on_exit=False, record_exception=False, set_status_on_exception=False):
            yield opened
    except Exception as error:
        opened.is_dropped = False
        opened.note(error=type(error).__name__)
        opened.otel.set_status(trace.Status(trace.StatusCode.ERROR))
        raise
    finally:
        if not opened.is_dropped:
            opened.otel.end()


@lru_cache(maxsize=1)
def find_tracer() -> Any:
    """The tracer of this process, None if nobody asked for one or OpenTelemetry is not installed."""
    if not tracing_is_wanted():
        return None
    try:
        trace = importlib.import_module("opentelemetry.trace")
        if type(trace.get_tracer_provider()).__name__ == "ProxyTracerProvider":
            _start_exporting(trace)
    except ImportError as error:
        log.warning("OTEL_ variables are set, but %s is not installed: no spans are written", error.name)
        return None
    return trace.get_tracer("newsletter")


def _start_exporting(trace: Any) -> None:
    """A provider of our own, where nobody (such as opentelemetry-instrument) has set one; it reads OTEL_ itself."""
    sdk = importlib.import_module("opentelemetry.sdk.trace")
    export = importlib.import_module("opentelemetry.sdk.trace.export")
    resources = importlib.import_module("opentelemetry.sdk.resources")
    otlp = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    # What OTEL_SERVICE_NAME says wins over ours.
    resource = resources.Resource({"service.name": "newsletter"}).merge(resources.OTELResourceDetector().detect())
    provider = sdk.TracerProvider(resource=resource)
    provider.add_span_processor(export.BatchSpanProcessor(otlp.OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
