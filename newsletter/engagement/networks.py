"""Networks of visitors: the class of one from a local table, and keyed hashes instead of addresses.

No service is asked at the time of a click. The table beside this module has ranges that their owners publish;
NETWORK_CLASSES names a file in the same form, refreshed by the operator, whose ranges come first.
"""

from __future__ import annotations

import datetime
import functools
import hashlib
import hmac
import ipaddress
import itertools
import logging
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from newsletter.config.translatable import translatable

log = logging.getLogger(__name__)

#: The classes. Apple's relay hides humans with Safari as well as the proxy that loads images.
HOSTING, APPLE, MICROSOFT, GOOGLE, SCANNER, OTHER = "hosting", "apple", "microsoft", "google", "scanner", ""
CLASSES = frozenset({HOSTING, APPLE, MICROSOFT, GOOGLE, SCANNER})

#: Networks from which humans rarely read: those of data centers and of mail filters.
DATA_CENTERS = frozenset({HOSTING, MICROSOFT, SCANNER})

TABLE = Path(__file__).with_name("networks.txt")

#: Hexadecimal digits of a keyed hash.
HASH_LENGTH = 16

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class NetworkTableError(Exception):
    """A line of a table of networks cannot be read; the message names file and line."""

    permanent = True


class NetworkTable:
    """Ranges with their class. The narrowest range that holds an address decides."""

    def __init__(self, rows: Iterator[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, str]]) -> None:
        self._ranges: dict[int, dict[int, dict[int, str]]] = {4: {}, 6: {}}
        for network, name in rows:
            by_length = self._ranges[network.version].setdefault(network.prefixlen, {})
            by_length.setdefault(int(network.network_address), name)
        self._lengths = {version: sorted(found, reverse=True) for version, found in self._ranges.items()}

    def class_of(self, address: Address) -> str:
        """The class of the network of an address; empty for homes, offices and phones."""
        ranges, bits, number = self._ranges[address.version], address.max_prefixlen, int(address)
        for length in self._lengths[address.version]:
            shift = bits - length
            if name := ranges[length].get(number >> shift << shift):
                return name
        return OTHER


def read_table(path: Path) -> Iterator[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, str]]:
    """The rows of a file: a network and its class on each line, `#` before a comment. Raises NetworkTableError."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            network, name = words
            parsed = ipaddress.ip_network(network)
        except ValueError as error:
            sentence = translatable(
                "{file}, line {line}: expected a network and its class, such as 192.0.2.0/24 hosting. {problem}",
                file=path.name,
                line=number,
                problem=str(error),
            )
            raise NetworkTableError(sentence) from error
        if name not in CLASSES:
            sentence = translatable(
                "{file}, line {line}: “{name}” is no class. Classes are {classes}.",
                file=path.name,
                line=number,
                name=name,
                classes=", ".join(sorted(CLASSES)),
            )
            raise NetworkTableError(sentence)
        yield parsed, name


@functools.lru_cache(maxsize=4)
def network_table(refreshed: Path | None) -> NetworkTable:
    """The table of a refreshed file and of the release. Read once for each process.

    A file that cannot be read is logged and left out: links must lead on.
    """
    own: list[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, str]] = []
    try:
        own = list(read_table(refreshed)) if refreshed else []
    except (NetworkTableError, OSError, UnicodeDecodeError) as error:
        log.error("NETWORK_CLASSES not read: %s", error)
    return NetworkTable(itertools.chain(own, read_table(TABLE)))


def network_class(ip: str | None) -> str:
    """The class of the network of an IP address; empty without one."""
    address = _address(ip)
    return network_table(settings.NETWORK_CLASSES).class_of(address) if address else OTHER


def network_hash(ip: str | None, at: datetime.datetime) -> str:
    """A keyed hash of the /24 or /48 of an IP address; another key each week. Empty without an address."""
    network = _shared_network(ip)
    year, week, _day = at.astimezone(datetime.UTC).isocalendar()
    return _keyed(f"network {year}-{week}", network) if network else ""


def visitor_hash(ip: str | None, agent: str, at: datetime.datetime) -> str:
    """A keyed hash of network and family of the agent; another key each day. Tells apart visitors without consent."""
    day = at.astimezone(datetime.UTC).date().isoformat()
    return _keyed(f"visitor {day}", f"{_shared_network(ip)} {agent}")


def _shared_network(ip: str | None) -> str:
    address = _address(ip)
    if address is None:
        return ""
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 48), strict=False))


def _address(ip: str | None) -> Address | None:
    try:
        address = ipaddress.ip_address(ip or "")
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _keyed(purpose: str, text: str) -> str:
    key = hmac.digest(settings.SECRET_KEY.encode(), b"newsletter.engagement." + purpose.encode(), hashlib.sha256)
    return hmac.digest(key, text.encode(), hashlib.sha256)[: HASH_LENGTH // 2].hex()
