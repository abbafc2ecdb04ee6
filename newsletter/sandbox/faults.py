"""What goes wrong next: a queue of planned faults, one per call.

Tests plan faults in the process (`SandboxServer.plan`) or over HTTP (`POST /sandbox/faults`). R-173 of the project's
requirements; the ledger then tells what was accepted all the same.
"""

from __future__ import annotations

import dataclasses
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from newsletter.sandbox.exchange import HTML, Ending, Request, Response, json_response
from newsletter.sandbox.refusals import REFUSAL_NAMES, refusal

_BAD_GATEWAY = b"""<html>\r
<head><title>502 Bad Gateway</title></head>\r
<body><center><h1>502 Bad Gateway</h1></center><hr><center>cloudflare</center></body>\r
</html>\r
"""

#: Faults that can strike before the call has done anything, or after it has.
ENDINGS = frozenset({"reset", "silence", "html_502"})
#: Faults in the answer to a call that did its work.
ANSWERS = frozenset({"truncated", "missing_id", "extra_id", "duplicate_id", "null_id"})
#: `none` lets one call pass; `latency` waits while the idempotency key is held, then goes on;
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
    #: Strike when the work is done and its answer is stored: the call counts, the caller cannot know.
    after_commit: bool = False
    #: Length of `latency` and `silence`.
    seconds: float = 60.0
    #: Picks the row of a refusal that has several statuses (validation_error: 400, 403, 422).
    status: int | None = None
    #: How many calls it strikes.
    times: int = 1
    #: Start of `METHOD /path` of the calls it waits for; "" is any call.
    on: str = "POST /emails"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"There is no fault {self.kind!r}; known are {', '.join(sorted(KINDS))}.")
        if self.times < 1 or self.seconds < 0 or not isinstance(self.on, str):
            raise ValueError("times must be 1 or more, seconds 0 or more, on a text.")
        if self.status is not None and self.kind in REFUSAL_NAMES:
            try:
                refusal(self.kind, status=self.status)
            except KeyError as error:
                raise ValueError(str(error.args[0])) from error

    @property
    def strikes_before(self) -> bool:
        """Whether the call does nothing at all."""
        return not self.after_commit and self.kind in ENDINGS | REFUSAL_NAMES

    @property
    def latency(self) -> float:
        """Seconds to wait while the call is being worked on."""
        return self.seconds if self.kind == "latency" else 0.0

    def apply(self, answer: Response) -> Response:
        """What the caller gets instead of `answer`."""
        if self.kind in ENDINGS | REFUSAL_NAMES:
            return self._replacement()
        if self.kind in ANSWERS and answer.status == 200:
            return _spoiled(answer, self.kind)
        return answer

    def _replacement(self) -> Response:
        if self.kind == "reset":
            return Response(0, ending=Ending.RESET)
        if self.kind == "silence":
            return Response(0, ending=Ending.SILENCE, seconds=self.seconds)
        if self.kind == "html_502":
            return Response(502, _BAD_GATEWAY, HTML)
        error = refusal(self.kind, status=self.status)
        return json_response(error.body, error.status)


NO_FAULT = Fault("none")


def _spoiled(answer: Response, kind: str) -> Response:
    if kind == "truncated":
        return dataclasses.replace(answer, ending=Ending.CUT)
    body = orjson.loads(answer.body)
    ids = body.get("data")
    if not ids:
        return answer
    spoiled: dict[str, list[object]] = {
        "missing_id": ids[:-1],
        "extra_id": [*ids, {"id": "00000000-0000-4000-8000-000000000000"}],
        "duplicate_id": [*ids[:-1], ids[0]],
        "null_id": [*ids, {"id": None}],
    }
    return dataclasses.replace(answer, body=orjson.dumps({**body, "data": spoiled[kind]}))


class FaultQueue:
    """Planned faults in order; each call takes the first that waits for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._planned: deque[Fault] = deque()

    def plan(self, *faults: Fault) -> None:
        """Append faults."""
        with self._lock:
            self._planned.extend(faults)

    def take(self, request: Request) -> Fault:
        """The fault that strikes this call; NO_FAULT if none was planned."""
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
        """The faults that no call took yet."""
        with self._lock:
            return list(self._planned)

    def clear(self) -> None:
        """Forget all planned faults."""
        with self._lock:
            self._planned.clear()


def read_faults(body: object) -> list[Fault]:
    """Faults from JSON: one object or a list of them, with the fields of Fault. 422 names what is wrong."""
    planned = body if isinstance(body, list) else [body]
    faults = []
    for item in planned:
        if not isinstance(item, Mapping):
            raise refusal("validation_error", "Each fault must be an object.")
        try:
            faults.append(Fault(**item))
        except (TypeError, ValueError) as error:
            raise refusal("validation_error", f"This is no fault: {error}") from error
    return faults
