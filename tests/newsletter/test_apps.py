"""System checks: combinations of settings that are valid one by one but not together."""

from __future__ import annotations

from django.test import override_settings

from newsletter.apps import check_proxies


def test_an_https_site_without_a_trusted_proxy_gets_a_warning() -> None:
    with override_settings(IS_ENCRYPTED=True, TRUSTED_PROXIES=0):
        (warning,) = check_proxies(None)
    assert warning.id == "newsletter.W001"


def test_an_https_site_behind_a_proxy_and_a_local_site_get_no_warning() -> None:
    with override_settings(IS_ENCRYPTED=True, TRUSTED_PROXIES=1):
        assert check_proxies(None) == []
    with override_settings(IS_ENCRYPTED=False, TRUSTED_PROXIES=0):
        assert check_proxies(None) == []
