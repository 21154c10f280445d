"""Scheduled reindexing. The site's own schedule is made once by migration; all of it is edited in the admin."""

from __future__ import annotations

import json

from django.conf import settings
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from search.models import SearchIndex

REINDEX = "search.reindex"
NIGHT_HOUR = "2"


def reindex_nightly(index: SearchIndex) -> tuple[PeriodicTask, bool]:
    """The periodic task that rebuilds an index every night, and whether it was made now."""
    arguments = json.dumps([index.pk])
    if task := PeriodicTask.objects.filter(task=REINDEX, args=arguments).first():
        return task, False
    night, _made = CrontabSchedule.objects.get_or_create(
        minute="30",
        hour=NIGHT_HOUR,
        day_of_week="*",
        day_of_month="*",
        month_of_year="*",
        timezone=settings.CELERY_TIMEZONE,
    )
    name = f"Reindex {index} ({index.pk})"
    return PeriodicTask.objects.create(name=name, task=REINDEX, args=arguments, crontab=night), True
