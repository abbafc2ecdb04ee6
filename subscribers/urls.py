"""Addresses of the reader pages.

Token paths end without a slash and answer with one too, without a redirect: RFC 8058 forbids a redirect, and some
mail programs add the slash (R-4).
"""

from __future__ import annotations

from django.urls import path, re_path

from subscribers import views

urlpatterns = [
    path("subscribe/<slug:slug>/", views.sign_up, name="subscribe"),
    path("subscribe/<slug:slug>/check-mail/", views.check_mail, name="check-mail"),
    re_path(r"^confirm/(?P<token>[^/]+)/?$", views.confirm_request, name="confirm"),
    re_path(r"^decline/(?P<token>[^/]+)/?$", views.decline_request, name="decline"),
    re_path(r"^unsubscribe/(?P<token>[^/]+)/?$", views.leave, name="unsubscribe"),
    re_path(r"^preferences/(?P<token>[^/]+)/?$", views.preferences, name="preferences"),
]
