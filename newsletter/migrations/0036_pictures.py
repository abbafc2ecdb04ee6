"""Pictures: the library, its files, where they are used, and pictures of stories."""

import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('newsletter', '0035_inbox'),
    ]

    operations = [
        migrations.AddField(
            model_name='story',
            name='alt',
            field=models.CharField(blank=True, db_default='', default='', max_length=300),
        ),
        migrations.AddField(
            model_name='story',
            name='image',
            field=models.CharField(blank=True, db_default='', default='', max_length=2000),
        ),
        migrations.CreateModel(
            name='Picture',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=120, verbose_name='name')),
                ('sha256', models.CharField(editable=False, help_text='Of the large file. Uploading a picture again finds it by this.', max_length=64)),
                ('alt', models.CharField(blank=True, max_length=300, verbose_name='alternative text')),
                ('is_decorative', models.BooleanField(default=False, help_text='It adds nothing to the text, so screen readers skip it.', verbose_name='decorative')),
                ('credit', models.CharField(blank=True, help_text='Who made it, for the library.', max_length=200, verbose_name='credit')),
                ('focus_x', models.PositiveSmallIntegerField(default=50, validators=[django.core.validators.MaxValueValidator(100)], verbose_name='focus, left %')),
                ('focus_y', models.PositiveSmallIntegerField(default=50, validators=[django.core.validators.MaxValueValidator(100)], verbose_name='focus, top %')),
                ('uploaded_by', models.CharField(blank=True, help_text='User name, or the step.', max_length=150, verbose_name='uploaded by')),
                ('uploaded_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='uploaded at')),
                ('newsletter', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='pictures', to='newsletter.newsletter')),
            ],
            options={
                'verbose_name': 'picture',
                'verbose_name_plural': 'pictures',
                'ordering': ['-pk'],
            },
        ),
        migrations.CreateModel(
            name='IssuePicture',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('issue', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='pictures', to='newsletter.issue')),
                ('picture', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='issues', to='newsletter.picture')),
            ],
            options={
                'verbose_name': 'picture of an issue',
                'verbose_name_plural': 'pictures of issues',
            },
        ),
        migrations.CreateModel(
            name='EditionPicture',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('edition', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='pictures', to='newsletter.edition')),
                ('picture', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='editions', to='newsletter.picture')),
            ],
            options={
                'verbose_name': 'picture of an edition',
                'verbose_name_plural': 'pictures of editions',
            },
        ),
        migrations.CreateModel(
            name='PictureFile',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('use', models.CharField(choices=[('large', 'Whole picture, at most 1200 pixels wide'), ('story', 'Part around the focus, three by two')], max_length=8)),
                ('path', models.CharField(help_text='In the storage, and after /media/.', max_length=200, unique=True)),
                ('width', models.PositiveSmallIntegerField()),
                ('height', models.PositiveSmallIntegerField()),
                ('bytes', models.PositiveIntegerField()),
                ('is_current', models.BooleanField(default=True, help_text='Whether it is what editors choose now.')),
                ('made_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('picture', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='files', to='newsletter.picture')),
            ],
            options={
                'verbose_name': 'file of a picture',
                'verbose_name_plural': 'files of pictures',
            },
        ),
        migrations.AddConstraint(
            model_name='picture',
            constraint=models.UniqueConstraint(fields=('newsletter', 'sha256'), name='picture_once_per_newsletter'),
        ),
        migrations.AddConstraint(
            model_name='picture',
            constraint=models.CheckConstraint(condition=models.Q(('focus_x__lte', 100), ('focus_y__lte', 100)), name='picture_focus_within_picture'),
        ),
        migrations.AddConstraint(
            model_name='picture',
            constraint=models.CheckConstraint(condition=models.Q(('is_decorative', False), ('alt', ''), _connector='OR'), name='picture_decorative_without_alt'),
        ),
        migrations.AddConstraint(
            model_name='issuepicture',
            constraint=models.UniqueConstraint(fields=('issue', 'picture'), name='issue_picture_once'),
        ),
        migrations.AddConstraint(
            model_name='editionpicture',
            constraint=models.UniqueConstraint(fields=('edition', 'picture'), name='edition_picture_once'),
        ),
        migrations.AddConstraint(
            model_name='picturefile',
            constraint=models.UniqueConstraint(condition=models.Q(('is_current', True)), fields=('picture', 'use'), name='picture_file_current_once'),
        ),
        migrations.AddConstraint(
            model_name='picturefile',
            constraint=models.CheckConstraint(condition=models.Q(('use__in', ['large', 'story'])), name='picture_file_use_known'),
        ),
    ]
