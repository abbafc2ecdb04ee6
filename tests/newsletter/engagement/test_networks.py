"""Networks: classes from a local table, and keyed hashes that cannot be compared for long."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path
from typing import Any

import pytest

from newsletter.engagement.networks import (
    CLASSES,
    TABLE,
    NetworkTable,
    NetworkTableError,
    network_class,
    network_hash,
    read_table,
    visitor_hash,
)

MONDAY = datetime.datetime(2026, 11, 23, 0, 0, tzinfo=datetime.UTC)
WEEK, DAY = datetime.timedelta(days=7), datetime.timedelta(days=1)


@pytest.mark.parametrize(
    ("ip", "expected"),
    [
        ("40.94.1.2", ""),
        ("40.93.1.2", "microsoft"),
        ("66.249.84.1", "google"),
        ("::ffff:66.249.84.1", "google"),
        ("17.1.2.3", "apple"),
        ("138.201.9.9", "hosting"),
        ("2a01:4f8::1", "hosting"),
        ("192.0.2.7", ""),
        ("2001:db8::1", ""),
        ("no address", ""),
        (None, ""),
    ],
)
def test_the_class_of_a_network(ip: str | None, expected: str) -> None:
    assert network_class(ip) == expected


def test_every_line_of_the_table_can_be_read() -> None:
    rows = list(read_table(TABLE))
    assert {name for _network, name in rows} <= CLASSES
    assert len({network for network, _name in rows}) == len(rows) > 30


def test_ranges_of_the_operator_come_first(tmp_path: Path, settings: Any) -> None:
    settings.NETWORK_CLASSES = tmp_path / "networks.txt"
    settings.NETWORK_CLASSES.write_text(
        "# relay\n192.0.2.0/25 apple  # Apple\n66.249.64.0/19 scanner\n2001:db8::/32 hosting\n"
    )
    assert [network_class(ip) for ip in ("192.0.2.7", "192.0.2.200", "66.249.84.1", "2001:db8::1", "17.1.1.1")] == [
        "apple",
        "",
        "scanner",
        "hosting",
        "apple",
    ]


def test_the_narrowest_range_decides(tmp_path: Path) -> None:
    file = tmp_path / "networks.txt"
    file.write_text("10.0.0.0/8 hosting\n10.1.0.0/16 google\n")
    table = NetworkTable(read_table(file))

    assert table.class_of(ipaddress.ip_address("10.1.2.3")) == "google"
    assert table.class_of(ipaddress.ip_address("10.2.2.3")) == "hosting"


@pytest.mark.parametrize("line", ["192.0.2.1/24 hosting", "192.0.2.0/24", "192.0.2.0/24 home", "x hosting"])
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "networks.txt"
    file.write_text(f"192.0.2.0/24 apple\n{line}\n")
    with pytest.raises(NetworkTableError, match=r"networks\.txt, line 2"):
        list(read_table(file))


@pytest.mark.parametrize("content", [b"192.0.2.0/24 apple\nbroken\n", b"\xff\xfe", None])
def test_a_file_that_cannot_be_read_is_logged_and_the_built_in_table_stays(
    tmp_path: Path, settings: Any, caplog: pytest.LogCaptureFixture, content: bytes | None
) -> None:
    settings.NETWORK_CLASSES = tmp_path / "networks.txt"
    if content is not None:
        settings.NETWORK_CLASSES.write_bytes(content)
    assert [network_class(ip) for ip in ("192.0.2.7", "66.249.84.1")] == ["", "google"]
    assert "NETWORK_CLASSES not read" in caplog.text


def test_a_network_has_one_hash_for_a_week() -> None:
    first = network_hash("192.0.2.1", MONDAY)
    assert first == network_hash("192.0.2.254", MONDAY + WEEK - datetime.timedelta(seconds=1))
    assert first != network_hash("192.0.2.1", MONDAY + WEEK)
    assert first != network_hash("192.0.3.1", MONDAY)
    assert network_hash("2001:db8:1::1", MONDAY) == network_hash("2001:db8:1:ffff::9", MONDAY)
    assert network_hash("2001:db8:1::1", MONDAY) != network_hash("2001:db8:2::1", MONDAY)
    assert network_hash(None, MONDAY) == ""
    assert len(first) == 16


def test_a_visitor_has_one_hash_for_a_day() -> None:
    first = visitor_hash("192.0.2.1", "chrome windows", MONDAY)
    assert first == visitor_hash("192.0.2.1", "chrome windows", MONDAY + DAY / 2)
    assert first != visitor_hash("192.0.2.1", "chrome windows", MONDAY + DAY)
    assert first != visitor_hash("192.0.2.1", "safari iphone", MONDAY)


def test_hashes_are_keyed(settings: Any) -> None:
    before = network_hash("192.0.2.1", MONDAY), visitor_hash("192.0.2.1", "", MONDAY)
    settings.SECRET_KEY = "another" * 10
    after = network_hash("192.0.2.1", MONDAY), visitor_hash("192.0.2.1", "", MONDAY)
    assert before[0] != after[0]
    assert before[1] != after[1]
