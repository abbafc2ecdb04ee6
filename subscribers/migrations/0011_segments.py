from django.db import migrations, models
from django.db.models.functions import Upper


class Migration(migrations.Migration):

    dependencies = [
        ('subscribers', '0010_imports'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='fieldvalue',
            index=models.Index(
                models.F('field'),
                Upper('text'),
                models.F('subscription'),
                condition=models.Q(('text', ''), _negated=True),
                name='field_value_upper',
            ),
        ),
    ]
