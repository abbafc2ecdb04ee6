"""Finding subscribers by a part of their address or name, with and without an index."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from subscribers.directory import search as search_module
from subscribers.directory.search import TABLE, has_index, prepare_index, search, search_exactly
from subscribers.models import Subscriber

pytestmark = pytest.mark.django_db

PEOPLE = {
    "mira.lantern@mail.example": "Mira Okafor",
    "lantern-press@news.example": "Lantern Press",
    "j_100%@boats.example": "Jules “J” O'Neil",
    "ma@pier.example": "王伟",
    "tom@pier.example": "Åse Ærlig",
}


@pytest.fixture(params=["index", "no index"], autouse=True)
def _people(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "no index":
        monkeypatch.setattr(search_module, "has_index", lambda: False)
    Subscriber.objects.bulk_create(Subscriber(address=a, canonical=a, first_name=n) for a, n in PEOPLE.items())


def found(text: str) -> set[str]:
    return {row.canonical.partition("@")[0] for row in search(Subscriber.objects.all(), text)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lantern", {"mira.lantern", "lantern-press"}),
        ("  LANTERN ", {"mira.lantern", "lantern-press"}),
        ("okafor", {"mira.lantern"}),
        ("lantern press", {"lantern-press"}),
        ("@pier", {"ma", "tom"}),
        ("100%@", {"j_100%"}),
        ("_100", {"j_100%"}),
        ("x100", set()),
        ("“j”", {"j_100%"}),
        ("o'n", {"j_100%"}),
        ('" OR "', set()),
        ("* NOT a", set()),
        ("a\0b", set()),
        ("la", {"lantern-press"}),
        ("MI", {"mira.lantern"}),
        ("t", {"tom"}),
        ("nt", set()),
        ("王", {"ma"}),
        ("王伟", {"ma"}),
        ("", {"mira.lantern", "lantern-press", "j_100%", "ma", "tom"}),
    ],
)
def test_a_text_is_found_in_address_and_name(text: str, expected: set[str]) -> None:
    assert found(text) == expected


def test_changed_and_deleted_subscribers_are_found_as_they_are_now() -> None:
    Subscriber.objects.filter(canonical="tom@pier.example").update(first_name="Thomasina")
    Subscriber.objects.filter(canonical="mira.lantern@mail.example").update(canonical="mira@mail.example")
    assert found("thomasina") == {"tom"}
    assert found("lantern") == {"lantern-press"}
    Subscriber.objects.filter(canonical="lantern-press@news.example").delete()
    assert found("lantern") == set()


def test_a_text_that_most_have_is_found_without_reading_all_of_them_from_the_index(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search_module, "COMMON", 2)
    assert found("example") == {"mira.lantern", "lantern-press", "j_100%", "ma", "tom"}


def test_only_a_whole_address_is_found_exactly() -> None:
    everybody = Subscriber.objects.all()
    assert search_exactly(everybody, "TOM@pier.example").get().first_name == "Åse Ærlig"
    for text in ("tom@pier", "tom", "Åse"):
        assert not search_exactly(everybody, text).exists()


def test_the_index_is_used_and_made_again_after_it_was_lost() -> None:
    if not search_module.has_index():
        pytest.skip("without an index")
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("DROP INDEX subscriber_name_trigrams")
        assert not has_index()
        prepare_index()
        assert has_index()
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
        plan = search(Subscriber.objects.all(), "lantern").explain()
        assert "subscriber_address_trigrams" in plan
        assert "subscriber_name_trigrams" in plan
        return
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TRIGGER {TABLE}_insert")
    Subscriber.objects.create(address="zoe@quay.example", canonical="zoe@quay.example")
    assert found("quay") == set()
    prepare_index()
    assert found("quay") == {"zoe"}
    with CaptureQueriesContext(connection) as queries:
        list(search(Subscriber.objects.all(), "lantern"))
    assert "MATCH" in queries[-1]["sql"]
