"""Tracing: spans around steps and posts, if OpenTelemetry is installed and configured; otherwise close to no cost.

To enable it, install the extra (`pip install '.[otel]'` or its two packages) and set any OTEL_ variable, such as
OTEL_EXPORTER_OTLP_ENDPOINT.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Protocol

from newsletter.config.environment import is_tracing_enabled

log = logging.getLogger(__name__)

Value = str | int | float | bool


class Span(Protocol):
    """A span that is open."""

    def note(self, **attributes: Value) -> None:
        """Add attributes. They must not hold an address or a title."""

    def drop(self) -> None:
        """Discard the span, since there was nothing to do."""


class _NoSpan:
    """The span of a process without tracing."""

    __slots__ = ()

    def note(self, **attributes: Value) -> None:
        pass

    def drop(self) -> None:
        pass


class _OpenSpan:
    """A span of OpenTelemetry's. It is dropped by never ending it, since only ended spans are exported."""

    __slots__ = ("is_dropped", "otel")

    def __init__(self, otel: Any) -> None:
        self.otel, self.is_dropped = otel, False

    def note(self, **attributes: Value) -> None:
        self.otel.set_attributes({f"newsletter.{name}": value for name, value in attributes.items()})

    def drop(self) -> None:
        self.is_dropped = True


NO_SPAN = _NoSpan()


@contextmanager
def span(name: str, **attributes: Value) -> Iterator[Span]:
    """Open a span; spans inside it become its children. An exception is recorded by its class and raised on."""
    tracer = find_tracer()
    if tracer is None:
        yield NO_SPAN
        return
    opened = _OpenSpan(tracer.start_span(name))
    opened.note(**attributes)
    trace = importlib.import_module("opentelemetry.trace")
    try:
        # OpenTelemetry would record the exception's text, which may hold an address.
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
    """The tracer of this process; None if tracing is not configured or OpenTelemetry is not installed."""
    if not is_tracing_enabled():
        return None
    try:
        trace = importlib.import_module("opentelemetry.trace")
        if type(trace.get_tracer_provider()).__name__ == "ProxyTracerProvider":
            _start_exporting(trace)
    except ImportError as error:
        log.warning("OTEL_ variables are set, but %s is not installed; no spans are exported", error.name)
        return None
    return trace.get_tracer("newsletter")


def _start_exporting(trace: Any) -> None:
    """Set up an exporter, unless another program such as opentelemetry-instrument has; it reads the OTEL_ variables."""
    sdk = importlib.import_module("opentelemetry.sdk.trace")
    export = importlib.import_module("opentelemetry.sdk.trace.export")
    resources = importlib.import_module("opentelemetry.sdk.resources")
    otlp = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    # OTEL_SERVICE_NAME takes precedence over this name.
    resource = resources.Resource({"service.name": "newsletter"}).merge(resources.OTELResourceDetector().detect())
    provider = sdk.TracerProvider(resource=resource)
    provider.add_span_processor(export.BatchSpanProcessor(otlp.OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
