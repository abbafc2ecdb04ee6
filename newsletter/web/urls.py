"""Addresses of the public web of issues."""

from django.urls import path

from newsletter.web.webhooks import ResendWebhook

urlpatterns = [
    path("webhooks/resend/", ResendWebhook.as_view(), name="resend-webhook"),
]
