"""The fence: whatever a template does, the process that asked lives and gets an answer or a sentence (R-153)."""

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
    "a word a thousand million times": (limited_jobs.fill, b"{{ 'a' * 10**9 }}", "more than 256 MB of memory"),
    "centred in a thousand million": (limited_jobs.fill, b"{{ 'a'|center(10**9) }}", "more than 256 MB of memory"),
    "a loop in a loop": (limited_jobs.fill, LOOPS, "more than 1 s of computing time"),
    "a number without end": (limited_jobs.fill, b"{{ 7 ** (9 ** 9) }}", "more than 1 s of computing time"),
    "two megabytes": (limited_jobs.fill, b"{{ 'a' * 2 * 10**6 }}", "wrote more than 1 MB"),
    "a stack without end": (limited_jobs.nest, b"", "nested too deep"),
    "a stack of the renderer’s": (limited_jobs.run_mrml_unchecked, DEEP, r"broke the renderer \(SIG\w+\)"),
    "a panic of the renderer": (limited_jobs.run_mrml_unchecked, PANIC, "PanicException"),
    "no answer": (limited_jobs.wait, b"", "took more than 1.5 s"),
    "an end without a word": (limited_jobs.leave, b"", "ended with status 7 and no answer"),
    "a file": (limited_jobs.write_a_file, b"", "File too large"),
}
SOON: dict[Job, ProcessLimits] = {limited_jobs.wait: ProcessLimits(wall=1.5)}


@pytest.mark.parametrize("harm", HARMFUL)
def test_harm_ends_in_a_sentence_within_seconds(harm: str) -> None:
    job, request, sentence = HARMFUL[harm]
    limits = SOON.get(job, ProcessLimits(cpu=1, wall=30))  # on a busy machine a second of computing takes its time
    started = time.monotonic()
    with pytest.raises(RenderingError, match=sentence):
        run_limited(job, request, limits=limits)
    assert time.monotonic() - started < limits.wall + 1


def test_a_harmless_template_is_rendered() -> None:
    assert run_limited(limited_jobs.fill, "Grüße {{ 6 * 7 }}".encode()) == "Grüße 42".encode()


def test_a_document_is_rendered_with_room_to_spare() -> None:
    text = b"<mj-text>words</mj-text>" * 3_000
    source = b"<mjml><mj-body><mj-section><mj-column>" + text + b"</mj-column></mj-section></mj-body></mjml>"
    assert (
        run_limited(limited_jobs.compile_document, source, limits=ProcessLimits(output=3_000_000)).count(b"words")
        == 3_000
    )


def test_a_refusal_arrives_with_its_line_and_faults() -> None:
    with pytest.raises(RenderingError, match="did you mean <mj-section>") as caught:
        run_limited(limited_jobs.compile_document, FAULTY)
    assert caught.value.line == 3
    assert [fault.line for fault in caught.value.faults] == [3]


def test_the_child_knows_no_secret_of_its_parent_and_can_start_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSLETTER_SECRET", "hidden")
    told = orjson.loads(run_limited(limited_jobs.tell_limits, b""))
    assert "NEWSLETTER_SECRET" not in told.pop("environment")
    assert told == {"AS": LIMITS.memory, "NPROC": 0, "CORE": 0}


@pytest.mark.parametrize("job", [limited_jobs.fill, limited_jobs.leave])
def test_a_request_larger_than_a_pipe_reaches_the_child_or_does_no_harm(job: Job) -> None:
    request = b"{# " + b"x" * 900_000 + b" #}done"
    if job is limited_jobs.fill:
        assert run_limited(job, request) == b"done"
    else:
        with pytest.raises(RenderingError, match="status 7"):
            run_limited(job, request)
