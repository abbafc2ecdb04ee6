"""`python -m tests.postgresql python -m tests.soak` runs a soak and writes docs/soak.md if it lasted long enough.

SOAK_MINUTES (30), SOAK_SUBSCRIBERS (10,000), SOAK_RATE (2 calls of up to 100 mails a second), SOAK_FAULTS (1 % of the
calls) and SOAK_KILL_SECONDS (5) change it. Logs are kept in var/soak.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from tests.soak.memory import growth_mb
from tests.soak.run import Plan, Result, run_soak

ROOT = Path(__file__).resolve().parents[2]
PAGE, FOLDER = ROOT / "docs" / "soak.md", ROOT / "var" / "soak"

#: A shorter run says nothing about memory, and does not replace the page.
MIN_SECONDS = 25 * 60

HEAD = """# Soak

`make soak` sends issue after issue on PostgreSQL for half an hour, with three workers, a web server and the sandbox
on one machine. Every five seconds a worker is killed (SIGKILL) and replaced, and 1 % of the provider's calls fail:
cut connections, errors and cut responses, before and after the mails were accepted. Then the provider's ledger is
compared with the database. This page is written by that run.

"""


def main() -> int:
    """Run it and print the table; 1 if a promise was broken."""
    environment = os.environ
    if not environment.get("TEST_DATABASE_URL"):
        print("The soak needs PostgreSQL: run it with `make soak`.")
        return 1
    plan = Plan(
        seconds=60 * float(environment.get("SOAK_MINUTES", "30")),
        subscribers=int(environment.get("SOAK_SUBSCRIBERS", "10000")),
        rate=int(environment.get("SOAK_RATE", "2")),
        faults=float(environment.get("SOAK_FAULTS", "1")) / 100,
        kill_every=float(environment.get("SOAK_KILL_SECONDS", "5")),
    )
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    result = run_soak(plan, FOLDER)
    text = table(plan, result)
    print(text)
    faults = result.faults()
    print("\n".join(faults) or "Every promise was kept.")
    if not faults and result.seconds >= MIN_SECONDS:
        PAGE.write_text(HEAD + text)
    return 1 if faults else 0


def table(plan: Plan, result: Result) -> str:
    """The result as a Markdown table."""
    rows = {
        "duration": f"{result.seconds / 60:.1f} min",
        "issues × subscribers": f"{result.issues:,} × {plan.subscribers:,}",
        "deliveries": f"{result.deliveries:,}",
        "calls of the provider": f"{result.calls:,}, of which {result.faulty_calls:,} failed",
        "workers killed": f"{result.kills:,}",
        "events applied": f"{result.events:,}",
        "recipients without a mail": f"{result.missing + result.lost:,}",
        "recipients with two mails": f"{result.twice:,}",
        "outcomes unknown": f"{result.unknown:,}",
    }
    for name, samples in result.memory.items():
        before, growth = growth_mb(samples)
        rows[f"memory of {name}"] = f"{before:.0f} MB after warm-up, {growth:+.0f} MB at the end"
    return "| what | result |\n|---|---|\n" + "".join(f"| {what} | {value} |\n" for what, value in rows.items())


if __name__ == "__main__":
    sys.exit(main())
