"""URLs of the subscribers' pages.

URLs with a token work with and without a trailing slash, without a redirect: RFC 8058 §3.1 forbids redirects for
one-click unsubscribe, and some mail programs append a slash.
"""

from __future__ import annotations

from django.urls import path, re_path

from subscribers.web import address_change, preferences, privacy, sign_up, views
from subscribers.web.sunset import stay_page

urlpatterns = [
    path("subscribe/<slug:slug>/", sign_up.sign_up, name="subscribe"),
    path("subscribe/<slug:slug>/embed/", sign_up.embed, name="embed"),
    path("subscribe/<slug:slug>/embed/check-mail/", sign_up.embed_check_mail, name="embed-check-mail"),
    path("subscribe/<slug:slug>/check-mail/", sign_up.check_mail, name="check-mail"),
    re_path(r"^confirm/(?P<token>[^/]+)/?$", views.confirm, name="confirm"),
    re_path(r"^decline/(?P<token>[^/]+)/?$", views.decline, name="decline"),
    re_path(r"^unsubscribe/(?P<token>[^/]+)/?$", views.unsubscribe, name="unsubscribe"),
    re_path(r"^stay/(?P<token>[^/]+)/?$", stay_page, name="stay"),
    re_path(r"^preferences/(?P<token>[^/]+)/?$", preferences.preferences_page, name="preferences"),
    re_path(r"^confirm-address/(?P<token>[^/]+)/?$", address_change.confirm_address, name="confirm-address"),
    re_path(r"^approve-address/(?P<token>[^/]+)/?$", address_change.approve_address, name="approve-address"),
    re_path(r"^refuse-address/(?P<token>[^/]+)/?$", address_change.refuse_address, name="refuse-address"),
    re_path(r"^access/(?P<token>[^/]+)/?$", privacy.my_data, name="my-data"),
    re_path(r"^erase/(?P<token>[^/]+)/?$", privacy.erase_me, name="erase-me"),
]
