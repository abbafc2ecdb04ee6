"""URLs of the subscribers' pages.

URLs with a token work with and without a trailing slash, without a redirect: RFC 8058 §3.1 forbids redirects for
one-click unsubscribe, and some mail programs append a slash.
"""

from __future__ import annotations

from django.urls import path, re_path

from subscribers.web import views
from subscribers.web.sunset import stay_page

urlpatterns = [
    path("subscribe/<slug:slug>/", views.sign_up, name="subscribe"),
    path("subscribe/<slug:slug>/check-mail/", views.check_mail, name="check-mail"),
    re_path(r"^confirm/(?P<token>[^/]+)/?$", views.confirm, name="confirm"),
    re_path(r"^decline/(?P<token>[^/]+)/?$", views.decline, name="decline"),
    re_path(r"^unsubscribe/(?P<token>[^/]+)/?$", views.unsubscribe, name="unsubscribe"),
    re_path(r"^stay/(?P<token>[^/]+)/?$", stay_page, name="stay"),
    re_path(r"^preferences/(?P<token>[^/]+)/?$", views.preferences, name="preferences"),
]
