from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('search', '0003_engine'),
    ]

    operations = [
        migrations.AddField(
            model_name='queryresult',
            name='curve',
            field=models.JSONField(default=list, verbose_name='precision at recall 0, 0.1 … 1'),
        ),
        migrations.AddField(
            model_name='queryresult',
            name='relevant',
            field=models.PositiveIntegerField(default=0, verbose_name='positives'),
        ),
    ]
