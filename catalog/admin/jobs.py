"""Long work in the admin: state, a live progress bar, cancelling."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from catalog.admin.base import NOTHING, ReadOnlyAdmin, admin_url, may, object_link
from catalog.jobs import Job, JobState

POLL_AT_MOST = 100  # jobs in one request of the page
WAITS_LONG = timedelta(seconds=20)


def duration(seconds: float | None) -> str:
    """``40 ms``, ``4.1 s``, ``12 s``, ``3 min 05 s``, ``2 h 04 min``."""
    if seconds is None:
        return NOTHING
    if seconds < 1:
        return gettext("%d ms") % round(1000 * seconds)
    if seconds < 60:
        return gettext("%s s") % (f"{seconds:.1f}" if seconds < 10 else f"{seconds:.0f}")
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return gettext("%(minutes)d min %(seconds)02d s") % {"minutes": minutes, "seconds": rest}
    return gettext("%(hours)d h %(minutes)02d min") % {"hours": minutes // 60, "minutes": minutes % 60}


def progress_detail(job: Job) -> str:
    """What a job is doing, in one short line."""
    if job.state == JobState.QUEUED:
        waits_long = timezone.now() - job.created > WAITS_LONG
        return gettext("no worker has taken it yet: is one running?") if waits_long else gettext("waiting for a worker")
    if job.state == JobState.RUNNING:
        count = f"{job.done:,} / {job.total:,}" if job.total else ""
        stopping = gettext("stopping") if job.cancel_requested else job.stage
        return " · ".join(part for part in (stopping, count, duration(job.seconds)) if part)
    return duration(job.seconds)


def progress_data(job: Job) -> dict[str, object]:
    """What the page asks for every second while the job is unfinished."""
    return {
        "id": job.pk,
        "state": job.state,
        "label": str(JobState(job.state).label),
        "percent": job.percent,
        "detail": progress_detail(job),
        "finished": job.is_finished,
    }


def progress_bar(job: Job) -> SafeString:
    """State and progress, kept up to date by ``admin.js``, which loads the page anew at the end."""
    return format_html(
        '<span class="lk-job" data-job="{}" data-url="{}" data-state="{}">'
        '<span class="lk-state lk-state-{}">{}</span>'
        '<progress max="100" value="{}"></progress><span class="lk-detail">{}</span></span>',
        job.pk,
        admin_url(job, "progress"),
        job.state,
        job.state,
        JobState(job.state).label,
        job.percent,
        progress_detail(job),
    )


class JobAdmin(ReadOnlyAdmin):
    """Base of the admins of ImportJob, IndexBuild and EvaluationRun."""

    actions: Any = ("cancel",)
    object_actions: Any = ("cancel",)
    list_filter: ClassVar[Any] = ("state",)

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_progress"
        own = [path("progress/", self.admin_site.admin_view(self.progress_view), name=name)]
        return [*own, *super().get_urls()]

    def progress_view(self, request: HttpRequest) -> JsonResponse:
        """``?ids=1,2``: state and progress of these jobs, as ``{"jobs": [...]}``."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        ids = [int(part) for part in request.GET.get("ids", "").split(",") if part.isdigit()][:POLL_AT_MOST]
        jobs: Iterable[Job] = self.model.objects.filter(pk__in=ids)
        return JsonResponse({"jobs": [progress_data(job) for job in jobs]})

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return may(request, "change", self.model)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request, "delete", self.model) and (obj is None or not isinstance(obj, Job) or obj.is_finished)

    def hidden_actions(self, request: HttpRequest, row: Any) -> Iterable[str]:
        return ("cancel",) if row.is_finished else ()

    @admin.display(description=_("progress"), ordering="state")
    def progress(self, job: Job) -> SafeString:
        return progress_bar(job)

    @admin.display(description=_("took"))
    def took(self, job: Job) -> str:
        return duration(job.seconds)

    @admin.display(description=_("error"))
    def error_shown(self, job: Job) -> SafeString | str:
        return format_html('<pre class="lk-error">{}</pre>', job.error) if job.error else NOTHING

    @admin.action(description=_("Cancel"), permissions=["cancel"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        jobs = [job for job in queryset if not job.is_finished]
        for job in jobs:
            job.cancel()
        text = ngettext("%d job was told to stop.", "%d jobs were told to stop.", len(jobs)) % len(jobs)
        self.message_user(request, text)


class StartedJobAdmin(JobAdmin):
    """A job that staff start with a form: adding shows ``start_form``, whose ``user`` is set; later it is only read.

    ``shown``: fieldsets of the row. ``save_model`` is left to each: it enqueues what the form has made.
    """

    start_form: ClassVar[type[ModelForm[Any]]]
    start_fieldsets: ClassVar[Any] = ()  # none: the form's fields as it names them
    shown: ClassVar[Any] = ()

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return may(request, "add", self.model)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is not None:
            return super().get_form(request, obj, change, **kwargs)
        form = super().get_form(request, obj, change, **{**kwargs, "form": self.start_form})
        return type(self.start_form.__name__, (form,), {"user": request.user})

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        meta: Any = self.start_form.Meta  # type: ignore[attr-defined]
        return self.shown if obj else self.start_fieldsets or ((None, {"fields": meta.fields}),)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        names: list[Any] = [name for _title, part in self.shown for name in part["fields"]]
        return [name for entry in names for name in ([entry] if isinstance(entry, str) else entry)] if obj else ()

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        self.message_user(
            request, format_html(gettext("Started: {}. This page follows it."), object_link(obj, self.link_text(obj)))
        )
        return redirect(admin_url(obj, "change", obj.pk))

    def link_text(self, job: Any) -> str | None:
        """Of the link to the job that was started; None: its name."""
        return None


def running(models: Iterable[type[Model]]) -> list[Job]:
    """Unfinished jobs of these models, the newest first."""
    jobs = [job for model in models for job in model._default_manager.unfinished()]  # type: ignore[attr-defined]
    return sorted(jobs, key=lambda job: job.created, reverse=True)
