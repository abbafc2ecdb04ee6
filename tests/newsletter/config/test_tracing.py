"""Tracing: no cost while it is off, a span for each step and post while it is on, and no personal data."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from newsletter.config import tracing
from newsletter.config.environment import is_tracing_enabled
from newsletter.config.tracing import NO_SPAN, find_tracer, span
from newsletter.providers.base import Provider
from newsletter.worker.loop import MAIN_THREAD_QUEUES, run_each, runners_of
from tests.people import make_subscriptions
from tests.publications import expand_audiences, make_issue, start_sending
from tests.sandboxes import provider_of, running_sandbox


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Ended spans, as OpenTelemetry's SDK exports them."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "find_tracer", lambda: provider.get_tracer("newsletter"))
    return exporter


@pytest.fixture
def _no_cached_tracer() -> Iterator[None]:
    find_tracer.cache_clear()
    yield
    find_tracer.cache_clear()


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    with running_sandbox() as server:
        yield provider_of(server, monkeypatch)


@pytest.mark.django_db
def test_a_post_is_a_span_inside_its_step_and_idle_steps_leave_no_span(
    spans: InMemorySpanExporter, provider: Provider
) -> None:
    issue = make_issue()
    make_subscriptions(3, issue.newsletter)
    send = start_sending(issue)
    expand_audiences()
    runners = runners_of(*MAIN_THREAD_QUEUES)
    run_each(runners)
    run_each(runners)
    post, step, finish = spans.get_finished_spans()
    assert (post.name, step.name, finish.name) == ("post", "post_batch", "finish_sends")
    assert post.parent is not None
    assert post.parent.span_id == step.context.span_id
    attributes = dict(post.attributes or {})
    assert attributes["newsletter.outcome"] == "accepted"
    assert (attributes["newsletter.mails"], attributes["newsletter.send"]) == (3, send.pk)
    assert "@" not in str(attributes)


def test_a_failure_is_recorded_by_its_class_only(spans: InMemorySpanExporter) -> None:
    def fail() -> None:
        with span("step") as work:
            work.drop()
            raise ValueError("ada@example.org")

    with pytest.raises(ValueError, match="ada"):
        fail()
    (failed,) = spans.get_finished_spans()
    assert failed.status.status_code is trace.StatusCode.ERROR
    assert dict(failed.attributes or {}) == {"newsletter.error": "ValueError"}
    assert failed.events == ()


@pytest.mark.usefixtures("_no_cached_tracer")
def test_without_variables_opentelemetry_is_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    monkeypatch.setattr(tracing.importlib, "import_module", refuse)  # type: ignore[attr-defined]
    with span("step", batch=1) as work:
        assert work is NO_SPAN
        work.note(outcome="accepted")
        work.drop()


@pytest.mark.usefixtures("_no_cached_tracer")
def test_missing_packages_are_logged_once_and_stop_no_step(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def is_missing(name: str) -> None:
        raise ImportError(name=name)

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    monkeypatch.setattr(tracing.importlib, "import_module", is_missing)  # type: ignore[attr-defined]
    for _ in range(3):
        with span("step") as work:
            assert work is NO_SPAN
    assert len(caplog.records) == 1
    assert "opentelemetry.trace is not installed" in caplog.text


@pytest.mark.parametrize(
    ("variables", "enabled"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "digest"}, True),
        ({"OTEL_SERVICE_NAME": ""}, False),
        ({"OTEL_SERVICE_NAME": "digest", "OTEL_SDK_DISABLED": "true"}, False),
    ],
    ids=str,
)
def test_opentelemetrys_own_variables_enable_tracing(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], enabled: bool
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert is_tracing_enabled() is enabled
