"""Jobs: claimed once, picked up when stale, cancelled, reported."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from catalog.errors import JobCancelled
from catalog.jobs import STALE_AFTER, JobState
from catalog.models import Collection, ImportJob

pytestmark = pytest.mark.django_db


@pytest.fixture
def job() -> ImportJob:
    return ImportJob.objects.create(collection=Collection.objects.create(name="Shop", slug="shop"), path="x")


def grow_old(job: ImportJob) -> None:
    ImportJob.objects.filter(pk=job.pk).update(heartbeat=timezone.now() - STALE_AFTER - timedelta(seconds=1))


def test_a_queued_job_is_claimed_by_one_caller_only(job: ImportJob) -> None:
    other = ImportJob.objects.get(pk=job.pk)
    assert job.claim()
    assert job.state == JobState.RUNNING
    assert not other.claim()


def test_a_running_job_without_a_sign_of_life_is_claimed_again(job: ImportJob) -> None:
    job.claim()
    assert not ImportJob.objects.stale().exists()
    grow_old(job)
    assert list(ImportJob.objects.stale()) == [job]
    assert ImportJob.objects.get(pk=job.pk).claim()
    assert not ImportJob.objects.stale().exists()


@pytest.mark.parametrize("state", [JobState.DONE, JobState.FAILED, JobState.CANCELLED])
def test_a_finished_job_is_never_claimed(job: ImportJob, state: JobState) -> None:
    job.finish(state)
    grow_old(job)
    assert not job.claim()
    assert not ImportJob.objects.stale().exists()


def test_cancelling_a_waiting_job_ends_it_at_once(job: ImportJob) -> None:
    job.cancel()
    assert job.state == JobState.CANCELLED
    assert job.is_finished
    assert not job.claim()


def test_cancelling_a_running_job_stops_it_at_its_next_report(job: ImportJob) -> None:
    job.claim()
    ImportJob.objects.get(pk=job.pk).cancel()
    with pytest.raises(JobCancelled):
        job.progress(1, 2, "reading")


def test_progress_is_written_at_most_twice_a_second(job: ImportJob, django_assert_num_queries) -> None:
    job.claim()
    job.progress(1, 10, "reading")
    with django_assert_num_queries(0):
        job.progress(2)
    with django_assert_num_queries(2):
        job.progress(3, stage="writing")
    job.finish()
    job.refresh_from_db()
    assert (job.done, job.total, job.percent) == (3, 10, 100)


def test_percent_stays_within_bounds(job: ImportJob) -> None:
    assert job.percent == 0
    job.done, job.total = 30, 20
    assert job.percent == 100
