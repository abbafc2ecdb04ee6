"""The log: one line an event, with its context, never an address or a secret.

Modules log through the standard library. Here every line – ours, Django's, a library's – gets its context (batch,
issue, worker), loses what must not be kept (R-162), and cannot pretend to be two lines (R-163).
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, Literal

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

LogFormat = Literal["auto", "json", "text"]

#: What must never stand in a log, and what stands there instead. The order matters: URLs before addresses.
MASKS: tuple[tuple[re.Pattern[str], str], ...] = (
    # Links of readers: who has one can unsubscribe or confirm as them.
    (re.compile(r"/(unsubscribe|preferences|confirm|decline)/[^/\s?#\"'<>]+"), r"/\1/(token)"),
    (re.compile(r"(?i)([?&](?:token|key|secret|signature|password|code)=)[^&\s#\"'<>]+"), r"\1(secret)"),
    # Credentials in the address of a database or a broker.
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^/\s@\"'<>]*@"), r"\1(secret)@"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}"), r"\1 (secret)"),
    (re.compile(r"\bwhsec_[A-Za-z0-9+/=_-]+"), "(secret)"),
    # Resend's keys hold digits or capitals; a name such as re_render does not.
    (re.compile(r"\bre_(?=[a-z_]*[A-Z0-9])[A-Za-z0-9_]{8,}"), "(secret)"),
    (re.compile(r"[^\s<>()\[\],;:\"'`=|{}/\\]+(?:@|%40)[^\s<>()\[\],;:\"'`=|{}/\\@]+"), "(an address)"),
)

#: The longest text that one field keeps; a response body in an exception must not fill the disk.
LONGEST = 16_000


def mask(text: str) -> str:
    """`text` without addresses, keys, and tokens in links."""
    for pattern, instead in MASKS:
        text = pattern.sub(instead, text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text) - LONGEST} more)"


def mask_everything(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """The processor that masks every string of an event, however deep it stands."""
    return {name: _masked(value) for name, value in event.items()}


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {mask(str(name)): _masked(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked(inner) for inner in value]
    return value if value is None or isinstance(value, bool | int | float) else mask(str(value))


def as_text(logger: WrappedLogger, method: str, event: EventDict) -> str:
    """One readable line: time, level, name, what happened, context; a traceback follows, each line marked."""
    fields = dict(event)
    when, level = fields.pop("timestamp", ""), str(fields.pop("level", "")).upper()
    name, said = fields.pop("logger", ""), fields.pop("event", "")
    trace = "\n".join(str(fields.pop(part)) for part in ("exception", "stack") if part in fields)
    context = "".join(f" {one_line(str(key))}={one_line(str(value))}" for key, value in sorted(fields.items()))
    line = f"{when} {level:<7} {name} {one_line(str(said))}{context}"
    return line + "".join(f"\n    | {one_line(part)}" for part in trace.splitlines())


def one_line(text: str) -> str:
    """`text` with every line break, control and invisible character written out, so that no line can be forged."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def logging_settings(level: str, log_format: LogFormat = "auto") -> dict[str, Any]:
    """Django's LOGGING. `auto`: readable lines in a terminal, JSON everywhere else."""
    is_json = log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": line_formatter, "is_json": is_json}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level},
        # Django gives this one a handler of its own, which would write past ours.
        "loggers": {
            "django": {"handlers": [], "propagate": True},
            "django.server": {"handlers": [], "propagate": True},
        },
    }


def line_formatter(*, is_json: bool) -> logging.Formatter:
    """The formatter behind every handler: context, time, traceback as text, mask, one line."""
    context: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # JSON escapes whatever is not ASCII, so that every event is one line.
    render: Processor = structlog.processors.JSONRenderer(sort_keys=True) if is_json else as_text
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=context,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            mask_everything,
            render,
        ],
    )
