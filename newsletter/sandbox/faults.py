"""Planned faults: a queue, from which each call takes at most one.

Tests plan faults in the process (`SandboxServer.plan`) or over HTTP (`POST /sandbox/faults`). A fault changes the
answer; the ledger still records what was accepted.
"""

from __future__ import annotations

import dataclasses
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from newsletter.sandbox.exchange import HTML, Ending, Request, Response, json_response
from newsletter.sandbox.options import LONGEST_WAIT, is_bool, is_integer, is_number, is_text
from newsletter.sandbox.refusals import REFUSAL_NAMES, refusal

_BAD_GATEWAY = b"""<html>\r
<head><title>502 Bad Gateway</title></head>\r
<body><center><h1>502 Bad Gateway</h1></center><hr><center>cloudflare</center></body>\r
</html>\r
"""

#: Faults that can happen before the call is handled, or after it.
ENDINGS = frozenset({"reset", "silence", "html_502"})
#: Faults in the answer to a call that was handled.
ANSWERS = frozenset({"truncated", "missing_id", "extra_id", "duplicate_id", "null_id"})
#: `none` changes nothing; `latency` waits while the idempotency key is locked and then continues;
#: `webhook_first` answers after the first events of the accepted mails were posted.
OTHERS = frozenset({"none", "latency", "webhook_first"})
KINDS = ENDINGS | ANSWERS | OTHERS | REFUSAL_NAMES


@dataclass(frozen=True, slots=True)
class Fault:
    """One planned fault.

    `kind` is one of KINDS: `reset`, `silence`, `html_502`, `truncated`, `missing_id`, `extra_id`, `duplicate_id`,
    `null_id`, `none`, `latency`, `webhook_first`, or the name of a refusal, such as `service_unavailable`.
    """

    kind: str
    #: Happen after the call was handled and its answer stored: the mails are accepted, and the caller cannot know.
    after_commit: bool = False
    #: Length of `latency` and `silence`.
    seconds: float = 60.0
    #: Selects among the statuses of a refusal that has several (validation_error: 400, 403, 422).
    status: int | None = None
    #: Replaces the message of a refusal: `validation_error` with 403 and “API key is not active”, for example.
    message: str | None = None
    #: Number of calls that it affects.
    times: int = 1
    #: Prefix of `METHOD /path` of the calls that it affects; "" is any call.
    on: str = "POST /emails"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"Unknown fault {self.kind!r}. Known faults: {', '.join(sorted(KINDS))}.")
        self._check_types()
        if self.times < 1 or not 0 <= self.seconds <= LONGEST_WAIT:
            raise ValueError(f"times must be 1 or more, and seconds must be between 0 and {LONGEST_WAIT}.")
        if self.message is not None and (self.kind not in REFUSAL_NAMES or not isinstance(self.message, str)):
            raise ValueError("message must be a string, and only refusals have one.")
        if self.status is not None and self.kind in REFUSAL_NAMES:
            try:
                refusal(self.kind, status=self.status)
            except KeyError as error:
                raise ValueError(str(error.args[0])) from error

    def _check_types(self) -> None:
        """Values come from JSON, too. Raises ValueError."""
        if not is_integer(self.times) or not (self.status is None or is_integer(self.status)):
            raise ValueError("times and status must be integers.")
        if not is_number(self.seconds):
            raise ValueError("seconds must be a number.")
        if not is_bool(self.after_commit) or not is_text(self.on):
            raise ValueError("after_commit must be true or false, and on must be a string.")

    @property
    def prevents_call(self) -> bool:
        """Whether the call is not handled at all."""
        return not self.after_commit and self.kind in ENDINGS | REFUSAL_NAMES

    @property
    def latency(self) -> float:
        """Seconds to wait while the call is handled."""
        return self.seconds if self.kind == "latency" else 0.0

    def apply(self, answer: Response) -> Response:
        """The answer that the caller gets instead of `answer`."""
        if self.kind in ENDINGS | REFUSAL_NAMES:
            return self._replacement()
        if self.kind in ANSWERS and answer.status == 200:
            return _corrupted(answer, self.kind)
        return answer

    def _replacement(self) -> Response:
        if self.kind == "reset":
            return Response(0, ending=Ending.RESET)
        if self.kind == "silence":
            return Response(0, ending=Ending.SILENCE, seconds=self.seconds)
        if self.kind == "html_502":
            return Response(502, _BAD_GATEWAY, HTML)
        error = refusal(self.kind, self.message, status=self.status)
        return json_response(error.body, error.status)


NO_FAULT = Fault("none")


def _corrupted(answer: Response, kind: str) -> Response:
    if kind == "truncated":
        return dataclasses.replace(answer, ending=Ending.CUT)
    body = orjson.loads(answer.body)
    ids = body.get("data")
    if not ids:
        return answer
    corrupted: dict[str, list[object]] = {
        "missing_id": ids[:-1],
        "extra_id": [*ids, {"id": "00000000-0000-4000-8000-000000000000"}],
        "duplicate_id": [*ids[:-1], ids[0]],
        "null_id": [*ids, {"id": None}],
    }
    return dataclasses.replace(answer, body=orjson.dumps({**body, "data": corrupted[kind]}))


class FaultQueue:
    """Planned faults in order. Each call takes the first that affects it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._planned: deque[Fault] = deque()

    def plan(self, *faults: Fault) -> None:
        """Append faults."""
        with self._lock:
            self._planned.extend(faults)

    def take(self, request: Request) -> Fault:
        """The fault of this call; NO_FAULT if none is planned."""
        call = f"{request.method} {request.path}"
        with self._lock:
            for position, fault in enumerate(self._planned):
                if call.startswith(fault.on):
                    self._use(position, fault)
                    return fault
        return NO_FAULT

    def _use(self, position: int, fault: Fault) -> None:
        if fault.times > 1:
            self._planned[position] = dataclasses.replace(fault, times=fault.times - 1)
        else:
            del self._planned[position]

    def waiting(self) -> list[Fault]:
        """Faults that no call has taken yet."""
        with self._lock:
            return list(self._planned)

    def clear(self) -> None:
        """Remove all planned faults."""
        with self._lock:
            self._planned.clear()


def read_faults(body: object) -> list[Fault]:
    """Faults from JSON: one object or a list, with the fields of Fault. Raises Refusal (422) for an invalid one."""
    planned = body if isinstance(body, list) else [body]
    faults = []
    for item in planned:
        if not isinstance(item, Mapping):
            raise refusal("validation_error", "Each fault must be an object.")
        try:
            faults.append(Fault(**item))
        except (TypeError, ValueError) as error:
            raise refusal("validation_error", f"Invalid fault: {error}") from error
    return faults
