"""Brand: what a newsletter changes in its theme, and its texts beside the content."""

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('newsletter', '0037_start_from_something'),
    ]

    operations = [
        migrations.CreateModel(
            name='Brand',
            fields=[
                ('newsletter', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='brand', serialize=False, to='newsletter.newsletter')),
                ('accent', models.CharField(blank=True, help_text='Color of links, labels and buttons. Leave empty to use the theme’s.', max_length=7, validators=[django.core.validators.RegexValidator('\\A#[0-9a-f]{6}\\Z', 'Write a color as # and six hexadecimal digits, such as #1d1e2b.')], verbose_name='accent')),
                ('accent_dark', models.CharField(blank=True, help_text='Leave empty to make it from the accent.', max_length=7, validators=[django.core.validators.RegexValidator('\\A#[0-9a-f]{6}\\Z', 'Write a color as # and six hexadecimal digits, such as #1d1e2b.')], verbose_name='accent on dark screens')),
                ('is_exact', models.BooleanField(default=False, help_text='Colors that are hard to read are then not corrected, and pre-flight blocks sending until you change them.', verbose_name='use these colors exactly')),
                ('paper', models.CharField(blank=True, choices=[('', 'As in the theme'), ('white', 'White'), ('warm', 'Warm'), ('cool', 'Cool')], max_length=8, verbose_name='background')),
                ('heading_font', models.CharField(blank=True, choices=[('', 'As in the theme'), ('system-sans', 'Sans-serif (of the system)'), ('humanist-sans', 'Sans-serif (Seravek, Calibri)'), ('grotesque-sans', 'Sans-serif (Helvetica, Arial)'), ('book-serif', 'Serif (Georgia)'), ('old-serif', 'Serif (Palatino)'), ('letter-serif', 'Serif (Charter)'), ('slab-serif', 'Serif (Rockwell)'), ('mono', 'Monospace (Menlo, Consolas)')], max_length=20, verbose_name='headings')),
                ('text_font', models.CharField(blank=True, choices=[('', 'As in the theme'), ('system-sans', 'Sans-serif (of the system)'), ('humanist-sans', 'Sans-serif (Seravek, Calibri)'), ('grotesque-sans', 'Sans-serif (Helvetica, Arial)'), ('book-serif', 'Serif (Georgia)'), ('old-serif', 'Serif (Palatino)'), ('letter-serif', 'Serif (Charter)'), ('slab-serif', 'Serif (Rockwell)'), ('mono', 'Monospace (Menlo, Consolas)')], max_length=20, verbose_name='text')),
                ('logo_dark_url', models.CharField(blank=True, help_text='https:// URL. Programs without dark colors of our choice show the other logo.', max_length=2000, verbose_name='logo on dark screens')),
                ('logo_alt', models.CharField(blank=True, help_text='Leave empty to use the newsletter’s name.', max_length=100, verbose_name='alternative text of the logo')),
                ('writer', models.CharField(blank=True, help_text='Signs each issue; in Letter, also at the top.', max_length=100, verbose_name='writer')),
                ('portrait_url', models.CharField(blank=True, help_text='https:// URL of a square image, at least 96 pixels wide.', max_length=2000, verbose_name='portrait of the writer')),
                ('tagline', models.CharField(blank=True, help_text='At most 60 characters. Shown in Gazette and on web pages.', max_length=60, verbose_name='line under the name')),
                ('footer', models.CharField(blank=True, help_text='Leave empty to invite to a reply.', max_length=200, verbose_name='sentence at the end')),
                ('links', models.JSONField(blank=True, default=list, help_text='A list of words and their addresses.', verbose_name='links at the end')),
                ('share_picture_url', models.CharField(blank=True, help_text='https:// URL of an image for links to the web pages in social networks, 1200 × 630 pixels.', max_length=2000, verbose_name='share picture')),
            ],
            options={
                'verbose_name': 'brand',
                'verbose_name_plural': 'brands',
            },
        ),
    ]
