"""The admin for editors: stock Django admin with a thin layer on top."""

from django.contrib import admin
from django.contrib.auth.models import Group, User

from newsletter.admin.archive_imports import ArchiveImportAdmin
from newsletter.admin.events import EventAdmin
from newsletter.admin.issue_templates import IssueTemplateAdmin
from newsletter.admin.issues import IssueAdmin
from newsletter.admin.newsletters import NewsletterAdmin
from newsletter.admin.records import BatchAdmin, DeliveryAdmin, EditionAdmin, SendAdmin
from newsletter.admin.recurring_drafts import RecurringDraftAdmin
from newsletter.admin.snippets import SnippetAdmin
from newsletter.admin.users import GroupAdmin, UserAdmin
from newsletter.admin.webhooks import WebhookEndpointAdmin, WebhookMessageAdmin
from newsletter.models import (
    ArchiveImport,
    Batch,
    Delivery,
    Edition,
    Event,
    Issue,
    IssueTemplate,
    Newsletter,
    RecurringDraft,
    Send,
    Snippet,
    WebhookEndpoint,
    WebhookMessage,
)

admin.site.register(Newsletter, NewsletterAdmin)
admin.site.register(Issue, IssueAdmin)
admin.site.register(ArchiveImport, ArchiveImportAdmin)
admin.site.register(IssueTemplate, IssueTemplateAdmin)
admin.site.register(Snippet, SnippetAdmin)
admin.site.register(RecurringDraft, RecurringDraftAdmin)
admin.site.register(Edition, EditionAdmin)
admin.site.register(Send, SendAdmin)
admin.site.register(Delivery, DeliveryAdmin)
admin.site.register(Batch, BatchAdmin)
admin.site.register(Event, EventAdmin)
admin.site.register(WebhookEndpoint, WebhookEndpointAdmin)
admin.site.register(WebhookMessage, WebhookMessageAdmin)
# Registered by Django when its module is imported.
admin.site.unregister((User, Group))
admin.site.register(User, UserAdmin)
admin.site.register(Group, GroupAdmin)
