"""Posting a flood: which posts there are, in which order, and the processes of the clients."""

from __future__ import annotations

import base64
import json
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.journeys.flood.client import FORGERIES
from tests.journeys.flood.facts import Said

#: Client processes, and connections of each.
CLIENTS, CONNECTIONS = 3, 4

REPEATED, FORGED = 0.20, 0.05


@dataclass(frozen=True, slots=True)
class Planned:
    """One post. Genuine if `forgery` is empty."""

    event_id: str
    body: bytes
    forgery: str = ""


def posts_of(events: Sequence[Said], seed: int) -> list[Planned]:
    """All posts, shuffled: each event once, a fifth of them again, and forged ones with their bodies.

    Half of the forged ones have the id of a genuine event: were one stored, the genuine one would be lost.
    """
    chance = random.Random(seed)
    genuine = [Planned(said.event_id, said.body) for said in events]
    repeated = chance.choices(genuine, k=round(REPEATED * len(genuine)))
    forged = []
    for number in range(round(FORGED * len(genuine))):
        said = chance.choice(genuine)
        name = said.event_id if number % 2 else f"msg_forged_{number}"
        # What harms most: complaints and bounces of mails that exist.
        body = said.body.replace(b'"email.delivered"', b'"email.complained"')
        forged.append(Planned(name, body, FORGERIES[number % len(FORGERIES)]))
    posts = genuine + repeated + forged
    chance.shuffle(posts)
    return posts


class Clients:
    """Several processes, each with its part of every stage."""

    def __init__(
        self, processes: Sequence[subprocess.Popen[str]], parts: Sequence[Sequence[Sequence[Planned]]]
    ) -> None:
        self._processes, self._parts = processes, parts
        self._stage = 0

    def go(self) -> None:
        """Let all post the next stage."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()

    def answers(self) -> list[tuple[Planned, int]]:
        """Wait until all posts of the stage are answered: each with its status."""
        found: list[tuple[Planned, int]] = []
        for process, part in zip(self._processes, self._parts, strict=True):
            assert process.stdout is not None
            statuses = json.loads(process.stdout.readline())
            found += zip(part[self._stage], statuses, strict=True)
        self._stage += 1
        return found


@contextmanager
def posting(
    site_url: str, secret: str, folder: Path, stages: Sequence[Sequence[Planned]], environment: dict[str, str]
) -> Iterator[Clients]:
    """Clients that have signed nothing yet."""
    parts = [[stage[number::CLIENTS] for stage in stages] for number in range(CLIENTS)]
    with ExitStack() as stack:
        processes = []
        for number, part in enumerate(parts):
            file = folder / f"posts-{number}.jsonl"
            lines = [json.dumps([len(stage) for stage in part]), *(_line(post) for stage in part for post in stage)]
            file.write_text("\n".join(lines) + "\n", encoding="ascii")
            command = [sys.executable, "-m", "tests.journeys.flood.client"]
            command += [site_url.removeprefix("http://"), secret, str(file), str(CONNECTIONS)]
            process = stack.enter_context(
                subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=Path.cwd()
                )
            )
            stack.callback(process.kill)
            processes.append(process)
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        yield Clients(processes, parts)


def _line(post: Planned) -> str:
    return json.dumps([post.event_id, base64.b64encode(post.body).decode(), post.forgery])
