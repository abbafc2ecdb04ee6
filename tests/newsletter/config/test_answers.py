"""Answers of `manage.py configure`: what may be shown of a value."""

from __future__ import annotations

import psycopg
import pytest

from newsletter.config.answers import _address_for_libpq, masked


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("DATABASE_URL", "postgresql://ada:hunter2@db/digest", "postgresql://ada:…@db/digest"),
        ("DATABASE_URL", "postgresql:///db?user=u&password=hunter2", "postgresql:///db?user=u&password=…"),
        ("DATABASE_URL", "postgresql:///db?pass%77ord=hunter2&port=5", "postgresql:///db?pass%77ord=…&port=5"),
        (
            "DATABASE_URL",
            "postgresql:///db?sslkey=/k.pem&sslpassword=hunter2&passfile=/p",
            "postgresql:///db?sslkey=/k.pem&sslpassword=…&passfile=/p",
        ),
        ("BROKER_URL", "rediss://:hunter2@broker/0?password=hunter3", "rediss://:…@broker/0?password=…"),
        ("DATABASE_URL", "sqlite:///var/newsletter.sqlite3", "sqlite:///var/newsletter.sqlite3"),
        ("SECRET_KEY", "hunter2", "…"),
        ("SITE_URL", "https://digest.example.org", "https://digest.example.org"),
    ],
)
def test_a_password_is_masked_wherever_it_stands_in_a_url(name: str, value: str, shown: str) -> None:
    assert masked(name, value) == shown


def test_an_address_for_libpq_has_all_its_parameters_but_ours() -> None:
    address = _address_for_libpq(
        "postgresql://ada@db/digest?options=-cA%3D1%20-cB%3D2%2B3&pgbouncer=true&sslmode=require"
    )
    parameters = psycopg.conninfo.conninfo_to_dict(address)
    assert (parameters["options"], parameters["sslmode"]) == ("-cA=1 -cB=2+3", "require")
