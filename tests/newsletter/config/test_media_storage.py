"""Where pictures are kept: a directory, or a bucket that the settings name."""

from __future__ import annotations

from typing import Any

from newsletter.settings import CONFIGURATION, media_storage


def storage(**changes: Any) -> dict[str, Any]:
    return media_storage(CONFIGURATION.model_copy(update=changes))


def test_pictures_are_kept_in_a_directory_by_default() -> None:
    assert storage() == {"BACKEND": "django.core.files.storage.FileSystemStorage"}


def test_a_bucket_gets_only_what_is_set() -> None:
    found = storage(media_s3_bucket="pictures", media_s3_endpoint="https://s3.example.org")

    assert found["BACKEND"] == "storages.backends.s3.S3Storage"
    assert found["OPTIONS"] == {
        "bucket_name": "pictures",
        "endpoint_url": "https://s3.example.org",
        "region_name": None,
        "access_key": None,
        "secret_key": None,
        "file_overwrite": True,
    }
