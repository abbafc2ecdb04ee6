"""Lists of the recipients behind the numbers of a report: their indexes end with the key, by which the lists are paged."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('newsletter', '0026_engagement'),
        ('subscribers', '0010_subscription_counts'),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='delivery',
            name='delivery_bounced_or_complained',
        ),
        migrations.RemoveIndex(
            model_name='delivery',
            name='delivery_with_reason',
        ),
        migrations.RemoveIndex(
            model_name='delivery',
            name='delivery_failed_or_suppressed',
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('bounced_at__isnull', False), ('complained_at__isnull', False), _connector='OR'), fields=['send', 'id'], name='delivery_bounced_or_complained'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('complained_at__isnull', False)), fields=['send', 'id'], name='delivery_complained'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('reason', ''), _negated=True), fields=['send', 'reason', 'id'], name='delivery_with_reason'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('failed_at__isnull', False), ('suppressed_at__isnull', False), _connector='OR'), fields=['send', 'id'], name='delivery_failed_or_suppressed'),
        ),
    ]
