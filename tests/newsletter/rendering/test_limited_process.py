"""Limited processes: whatever a template does, the parent survives and gets a response or an error."""

from __future__ import annotations

import time

import orjson
import pytest

from newsletter.rendering.errors import RenderingError
from newsletter.rendering.limited_process import LIMITS, Job, ProcessLimits, run_limited
from tests.newsletter.rendering import limited_jobs

DEEP = b"<mjml><mj-body><mj-section><mj-column><mj-text>" + b"<b>" * 10_000 + b"</b>" * 10_000
DEEP += b"</mj-text></mj-column></mj-section></mj-body></mjml>"
PANIC = b"<mjml><mj-body><mj-section><mj-column><mj-raw><![if</mj-raw></mj-column></mj-section></mj-body></mjml>"
FAULTY = b"<mjml>\n<mj-body>\n<mj-sektion /></mj-body></mjml>"
LOOPS = b"{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}"

HARMFUL = {
    "a word a billion times": (limited_jobs.fill, b"{{ 'a' * 10**9 }}", "more than 256 MB of memory"),
    "centred in a billion characters": (limited_jobs.fill, b"{{ 'a'|center(10**9) }}", "more than 256 MB of memory"),
    "a loop in a loop": (limited_jobs.fill, LOOPS, "more than 1 s of CPU time"),
    "a huge number": (limited_jobs.fill, b"{{ 7 ** (9 ** 9) }}", "more than 1 s of CPU time"),
    "two megabytes": (limited_jobs.fill, b"{{ 'a' * 2 * 10**6 }}", "wrote more than 1 MB"),
    "endless recursion": (limited_jobs.nest, b"", "nested too deeply"),
    "a stack overflow of the renderer": (limited_jobs.run_mrml_unchecked, DEEP, r"crashed the renderer \(SIG\w+\)"),
    "a panic of the renderer": (limited_jobs.run_mrml_unchecked, PANIC, "PanicException"),
    "no response": (limited_jobs.wait, b"", "took more than 1.5 s"),
    "an exit without a response": (limited_jobs.leave, b"", "ended with status 7"),
    "a file": (limited_jobs.write_a_file, b"", "File too large"),
}
LIMITS_OF: dict[Job, ProcessLimits] = {limited_jobs.wait: ProcessLimits(wall=1.5)}


@pytest.mark.parametrize("harm", HARMFUL)
def test_a_harmful_job_ends_in_an_error_within_seconds(harm: str) -> None:
    job, request, sentence = HARMFUL[harm]
    limits = LIMITS_OF.get(job, ProcessLimits(cpu=1, wall=30))  # a second of CPU time takes long on a busy machine
    started = time.monotonic()
    with pytest.raises(RenderingError, match=sentence):
        run_limited(job, request, limits=limits)
    assert time.monotonic() - started < limits.wall + 1


def test_a_harmless_template_is_rendered() -> None:
    assert run_limited(limited_jobs.fill, "Grüße {{ 6 * 7 }}".encode()) == "Grüße 42".encode()


def test_a_large_document_stays_within_the_limits() -> None:
    text = b"<mj-text>words</mj-text>" * 3_000
    source = b"<mjml><mj-body><mj-section><mj-column>" + text + b"</mj-column></mj-section></mj-body></mjml>"
    assert (
        run_limited(limited_jobs.compile_document, source, limits=ProcessLimits(output=3_000_000)).count(b"words")
        == 3_000
    )


def test_an_error_of_the_job_is_raised_with_its_line_and_faults() -> None:
    with pytest.raises(RenderingError, match="Did you mean <mj-section>") as caught:
        run_limited(limited_jobs.compile_document, FAULTY)
    assert caught.value.line == 3
    assert [fault.line for fault in caught.value.faults] == [3]


def test_the_child_has_no_environment_of_its_parent_and_cannot_start_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSLETTER_SECRET", "hidden")
    reported = orjson.loads(run_limited(limited_jobs.tell_limits, b""))
    assert "NEWSLETTER_SECRET" not in reported.pop("environment")
    assert reported == {"AS": LIMITS.memory, "NPROC": 0, "CORE": 0}


@pytest.mark.parametrize("job", [limited_jobs.fill, limited_jobs.leave])
def test_a_request_larger_than_a_pipe_buffer_does_not_block(job: Job) -> None:
    request = b"{# " + b"x" * 900_000 + b" #}done"
    if job is limited_jobs.fill:
        assert run_limited(job, request) == b"done"
    else:
        with pytest.raises(RenderingError, match="status 7"):
            run_limited(job, request)
