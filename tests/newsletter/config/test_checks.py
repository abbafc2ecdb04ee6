"""System checks: settings that are each right and together wrong."""

from __future__ import annotations

from django.test import override_settings

from newsletter.config.checks import check_proxies


def test_an_https_site_without_a_trusted_proxy_is_warned_about() -> None:
    with override_settings(IS_ENCRYPTED=True, TRUSTED_PROXIES=0):
        (warning,) = check_proxies(None)
    assert warning.id == "newsletter.W001"


def test_an_https_site_behind_a_proxy_and_a_site_on_this_machine_are_fine() -> None:
    with override_settings(IS_ENCRYPTED=True, TRUSTED_PROXIES=1):
        assert check_proxies(None) == []
    with override_settings(IS_ENCRYPTED=False, TRUSTED_PROXIES=0):
        assert check_proxies(None) == []
