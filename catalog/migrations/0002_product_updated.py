from django.db import migrations, models


class Migration(migrations.Migration):
    """The latest changes of a collection are looked for once a second while filters are in use."""

    dependencies = [("catalog", "0001_initial")]

    operations = [
        migrations.AddIndex(
            model_name="product",
            index=models.Index(fields=["collection", "updated"], name="product_updated"),
        ),
    ]
