"""What editors see: stock Django admin with a thin layer of our own."""

from django.contrib import admin

from newsletter.admin.issues import IssueAdmin
from newsletter.admin.newsletters import NewsletterAdmin
from newsletter.admin.records import BatchAdmin, DeliveryAdmin, EditionAdmin, EventAdmin
from newsletter.models import Batch, Delivery, Edition, Event, Issue, Newsletter

admin.site.site_header = admin.site.site_title = "Newsletter"
admin.site.index_title = "Overview"

admin.site.register(Newsletter, NewsletterAdmin)
admin.site.register(Issue, IssueAdmin)
admin.site.register(Edition, EditionAdmin)
admin.site.register(Delivery, DeliveryAdmin)
admin.site.register(Batch, BatchAdmin)
admin.site.register(Event, EventAdmin)
