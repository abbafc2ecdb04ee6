"""What a mail domain and a local part tell: disposable, role, large mailbox provider, likely typo. Pure lists."""

from __future__ import annotations

from functools import cache
from pathlib import Path

#: Local parts of roles (RFC 2142) and of programs: mail to them has several recipients or none.
ROLES = frozenset(
    {
        "abuse",
        "admin",
        "administrator",
        "all",
        "devnull",
        "everyone",
        "ftp",
        "hostmaster",
        "list-request",
        "mailer-daemon",
        "news",
        "no-reply",
        "noc",
        "noreply",
        "phish",
        "phishing",
        "postmaster",
        "root",
        "security",
        "spam",
        "usenet",
        "uucp",
        "webmaster",
        "www",
    }
)

#: Domains with mailboxes of many unrelated owners.
LARGE_MAILBOX_PROVIDERS = frozenset(
    {
        "aol.com",
        "freenet.de",
        "gmail.com",
        "gmx.at",
        "gmx.ch",
        "gmx.de",
        "gmx.net",
        "googlemail.com",
        "hotmail.co.uk",
        "hotmail.com",
        "hotmail.fr",
        "icloud.com",
        "laposte.net",
        "libero.it",
        "live.com",
        "mail.com",
        "mail.ru",
        "me.com",
        "msn.com",
        "orange.fr",
        "outlook.com",
        "outlook.de",
        "proton.me",
        "protonmail.com",
        "qq.com",
        "t-online.de",
        "web.de",
        "yahoo.co.uk",
        "yahoo.com",
        "yahoo.de",
        "yahoo.fr",
        "yandex.ru",
    }
)

_BUILT_IN = Path(__file__).with_name("disposable_domains.txt")


def is_role(local_part: str) -> bool:
    """Whether the local part, without a plus-tag, names a role."""
    return local_part.lower().partition("+")[0] in ROLES


def is_disposable(domain: str, extra: Path | None = None) -> bool:
    """Whether the domain, or one that it belongs to, is in the built-in list or in the file `extra`."""
    known = _read(_BUILT_IN) | (_read(extra) if extra else frozenset())
    labels = domain.split(".")
    return any(".".join(labels[start:]) in known for start in range(len(labels) - 1))


@cache
def _read(file: Path) -> frozenset[str]:
    """The domains of a file, one per line; read once per process."""
    lines = (line.partition("#")[0].strip().lower() for line in file.read_text(encoding="utf-8-sig").splitlines())
    return frozenset(line.removeprefix("@").removeprefix(".") for line in lines if line)


def likely_domain(domain: str) -> str:
    """The large mailbox provider that differs from `domain` by one typo; empty if there is none, or more than one.

    A typo is a missing, additional, wrong or swapped letter.
    """
    if domain in LARGE_MAILBOX_PROVIDERS:
        return ""
    found = [known for known in LARGE_MAILBOX_PROVIDERS if len(known) > 8 and _is_one_typo(domain, known)]
    return found[0] if len(found) == 1 else ""


def _is_one_typo(typed: str, meant: str) -> bool:
    if abs(len(typed) - len(meant)) > 1:
        return False
    start = next(
        (at for at, (a, b) in enumerate(zip(typed, meant, strict=False)) if a != b), min(len(typed), len(meant))
    )
    rest, expected = typed[start:], meant[start:]
    return (
        rest[1:] == expected
        or rest == expected[1:]
        or rest[1:] == expected[1:]
        or (rest[:2] == expected[1::-1] and rest[2:] == expected[2:])
    )
