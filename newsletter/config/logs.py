"""Logging: one line per event, with its context, and never with an address or a secret.

Modules log through the standard library. This formatter handles every line, also those of Django and of libraries: it
adds the context (worker, step, batch, issue), masks personal data and secrets, and escapes line breaks, so that
untrusted text cannot forge a second line.
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

#: Patterns of personal data and secrets, each with its replacement. The order matters: URLs before addresses.
MASKS: tuple[tuple[re.Pattern[str], str], ...] = (
    # Links of subscribers, and shared reports: anyone who has one can act as the subscriber, or read the numbers.
    (
        re.compile(
            r"/(unsubscribe|preferences|confirm|decline|stay|access|erase|confirm-address|approve-address|"
            r"refuse-address|shared)/[^/\s?#\"'<>]+"
        ),
        r"/\1/(token)",
    ),
    (re.compile(r"(?i)([?&](?:token|key|secret|signature|password|code)=)[^&\s#\"'<>]+"), r"\1(secret)"),
    # Credentials in the URL of a database or a broker.
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^/\s@\"'<>]*@"), r"\1(secret)@"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}"), r"\1 (secret)"),
    (re.compile(r"\bwhsec_[A-Za-z0-9+/=_-]+"), "(secret)"),
    # Resend's keys contain digits or capitals; a name such as re_render does not.
    (re.compile(r"\bre_(?=[a-z_]*[A-Z0-9])[A-Za-z0-9_]{8,}"), "(secret)"),
    (re.compile(r"[^\s<>()\[\],;:\"'`=|{}/\\]+(?:@|%40)[^\s<>()\[\],;:\"'`=|{}/\\@]+"), "(an address)"),
)

#: Fields that modules may pass as `extra=` of a log call.
EXTRA_FIELDS = {
    "attempt",
    "backup_at",
    "batch",
    "batches",
    "begun",
    "by",
    "code",
    "count",
    "deliveries",
    "delivery",
    "detail",
    "domain",
    "endpoint",
    "error",
    "events",
    "failed",
    "field",
    "folder",
    "gone",
    "issue",
    "issues",
    "last_heartbeat",
    "links",
    "mails",
    "marked_at",
    "newest",
    "newsletter",
    "occurrence",
    "occurrences",
    "oldest",
    "outcome",
    "provider",
    "reason",
    "reasons",
    "recorded",
    "recurring_draft",
    "refusal",
    "result",
    "retry_seconds",
    "rows",
    "rule",
    "schedule",
    "scheduled",
    "search",
    "seen_at",
    "send",
    "sends",
    "signup",
    "step",
    "webhook_event",
}

#: Maximum length of a field, in characters: a response body in an exception must not fill the disk.
LONGEST = 16_000


def mask(text: str) -> str:
    """`text` with addresses, keys, and tokens of links replaced."""
    for pattern, replacement in MASKS:
        text = pattern.sub(replacement, text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text) - LONGEST} more)"


def mask_everything(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """The processor that masks every string of an event, at any depth."""
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
    """One line: time, level, logger, event, context. The lines of a traceback follow, each marked with a bar."""
    fields = dict(event)
    when, level = fields.pop("timestamp", ""), str(fields.pop("level", "")).upper()
    name, message = fields.pop("logger", ""), fields.pop("event", "")
    trace = "\n".join(str(fields.pop(part)) for part in ("exception", "stack") if part in fields)
    context = "".join(f" {one_line(str(key))}={one_line(str(value))}" for key, value in sorted(fields.items()))
    line = f"{when} {level:<7} {name} {one_line(str(message))}{context}"
    return line + "".join(f"\n    | {one_line(part)}" for part in trace.splitlines())


def one_line(text: str) -> str:
    """`text` with line breaks, control characters and invisible characters escaped."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def logging_settings(level: str, log_format: LogFormat = "auto") -> dict[str, Any]:
    """Django's LOGGING. `auto` is text in a terminal and JSON elsewhere."""
    is_json = log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": line_formatter, "is_json": is_json}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level},
        # Django attaches a handler of its own to these, which would bypass the formatter.
        "loggers": {
            "django": {"handlers": [], "propagate": True},
            "django.server": {"handlers": [], "propagate": True},
        },
    }


def line_formatter(*, is_json: bool) -> logging.Formatter:
    """The formatter: adds context and time, renders tracebacks, masks, and writes one line."""
    context: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.ExtraAdder(allow=EXTRA_FIELDS),
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # JSON escapes line breaks and all characters that are not ASCII, so that every event is one line.
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
