"""export_person, erase_subscriber, export_consents, export_suppressions, import_suppressions."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from subscribers.models import ConsentKind, Evidence, Subscriber, Suppression, SuppressionReason, record_consents
from subscribers.suppression import suppress_addresses
from tests.people import ADA, BEN, ada

pytestmark = pytest.mark.django_db


def test_export_person_writes_a_zip_and_no_other_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ada()
    path = tmp_path / "ada.zip"
    call_command("export_person", "Ada@Example.org", output=path)
    with zipfile.ZipFile(path) as archive:
        assert json.loads(archive.read("data.json"))["address"] == ADA
    assert list(tmp_path.iterdir()) == [path]
    assert "Send it to this address only" in capsys.readouterr().out
    with pytest.raises(CommandError, match="is there already"):
        call_command("export_person", ADA, output=path)
    with pytest.raises(CommandError, match="Nothing is stored"):
        call_command("export_person", BEN, output=tmp_path / "ben.zip")
    with pytest.raises(CommandError, match="Enter an email address"):
        call_command("export_person", "ada", output=tmp_path / "x.zip")


def test_erase_subscriber_asks_for_the_address_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ada()
    monkeypatch.setattr("builtins.input", lambda question: BEN)
    with pytest.raises(CommandError, match="another address"):
        call_command("erase_subscriber", ADA)
    assert Subscriber.objects.exists()
    monkeypatch.setattr("builtins.input", lambda question: ADA.upper())
    call_command("erase_subscriber", ADA)
    assert not Subscriber.objects.exists()
    assert Suppression.objects.get().reason == SuppressionReason.ERASED
    out = capsys.readouterr().out
    assert "Backups still contain the data" in out
    assert ADA not in out
    call_command("erase_subscriber", ADA, yes=True, by="ida")
    assert "Nothing was stored" in capsys.readouterr().out


def test_export_consents_writes_a_file_that_it_verifies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    subscription = ada()
    record_consents(ConsentKind.REQUESTED, [subscription], Evidence(form="signup", text="Yes."))
    path = tmp_path / "consents.jsonl"
    call_command("export_consents", list="harbour-notes", output=path)
    found = re.search(r"Consents: 1\. Last hash: ([0-9a-f]{64})", capsys.readouterr().out)
    assert found
    call_command("export_consents", verify=path, expect=found[1])
    assert "The file is whole. Consents: 1." in capsys.readouterr().out
    with pytest.raises(CommandError, match="not the expected one"):
        call_command("export_consents", verify=path, expect="0" * 64)
    path.write_text(path.read_text().replace("signup", "import"))
    with pytest.raises(CommandError, match="Line 2"):
        call_command("export_consents", verify=path)
    call_command("export_consents", address=ADA, output=tmp_path / "ada.jsonl")
    with pytest.raises(CommandError, match="Choose one of: harbour-notes"):
        call_command("export_consents", list="nothing", output=tmp_path / "x.jsonl")


def test_suppressions_go_from_one_installation_to_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suppress_addresses({ADA: (SuppressionReason.COMPLAINT, "")})
    path = tmp_path / "suppressions.csv"
    call_command("export_suppressions", path)
    assert "Suppressions written: 1." in capsys.readouterr().out
    Suppression.objects.all().delete()
    call_command("import_suppressions", path)
    assert "Suppressed: 1." in capsys.readouterr().out
    assert Suppression.objects.get().reason == SuppressionReason.COMPLAINT


def test_a_file_of_addresses_is_imported_with_a_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "blocked.csv"
    path.write_text(f"email\n{ADA}\nnobody\n")
    call_command("import_suppressions", path, reason="complaint", detail="From the old system.")
    assert (Suppression.objects.get().reason, Suppression.objects.get().detail) == (
        SuppressionReason.COMPLAINT,
        "From the old system.",
    )
    assert "Lines that could not be read: 1, the first of them: 3." in capsys.readouterr().out
    path.write_bytes("é@example.org\n".encode("latin-1"))
    with pytest.raises(CommandError, match="not UTF-8"):
        call_command("import_suppressions", path)
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("import_suppressions", tmp_path / "missing.csv")
