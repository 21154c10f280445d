"""The site's schedule, made once. From then on it belongs to the admin: what is changed, switched off
or deleted there stays so, because a migration does not run twice."""

import json

from django.db import migrations
from django.utils import timezone

MINUTES = [("search.jobs_resume", 1), ("search.index_maintain", 5)]
NIGHTS = [  # task, hour, minute, keyword arguments
    ("search.index_maintain", "3", "0", {"check": True}),
    ("search.queries_purge", "3", "40", {}),
    ("catalog.files_sweep", "4", "0", {}),
]
NAMES = {
    ("search.jobs_resume", False): "Pick up interrupted jobs",
    ("search.index_maintain", False): "Rebuild indexes that have grown",
    ("search.index_maintain", True): "Check indexes against the catalog, and repair",
    ("search.queries_purge", False): "Delete visitors' old pictures",
    ("catalog.files_sweep", False): "Delete files that nothing uses",
}


def make(apps, schema_editor):
    tasks = apps.get_model("django_celery_beat", "PeriodicTask")
    intervals = apps.get_model("django_celery_beat", "IntervalSchedule")
    crontabs = apps.get_model("django_celery_beat", "CrontabSchedule")
    for task, every in MINUTES:
        interval, _ = intervals.objects.get_or_create(every=every, period="minutes")
        tasks.objects.get_or_create(name=NAMES[task, False], defaults={"task": task, "interval": interval})
    for task, hour, minute, options in NIGHTS:
        always = {"day_of_week": "*", "day_of_month": "*", "month_of_year": "*", "timezone": "UTC"}
        night, _ = crontabs.objects.get_or_create(hour=hour, minute=minute, **always)
        values = {"task": task, "crontab": night, "kwargs": json.dumps(options)}
        tasks.objects.get_or_create(name=NAMES[task, bool(options)], defaults=values)
    # A beat that runs already looks at this row; models of a migration send no signal that would set it
    changed = apps.get_model("django_celery_beat", "PeriodicTasks")
    changed.objects.update_or_create(ident=1, defaults={"last_update": timezone.now()})


def unmake(apps, schema_editor):
    apps.get_model("django_celery_beat", "PeriodicTask").objects.filter(name__in=NAMES.values()).delete()


class Migration(migrations.Migration):
    dependencies = [("search", "0001_initial"), ("django_celery_beat", "0018_improve_crontab_helptext")]

    operations = [migrations.RunPython(make, unmake)]
