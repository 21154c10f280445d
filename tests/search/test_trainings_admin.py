"""Fine-tuning from the admin and from the command line."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from catalog.jobs import JobState
from search.activations import BEFORE
from search.admin.training_curves import curves, ticks_of
from search.admin.training_form import DEFAULTS
from search.builds import index_for
from search.finetunings import index_beside
from search.management.commands.finetune import newest
from search.models import TrainingRun
from search.training.options import FinetuneOptions
from search.trainings import training_create
from tests import factories
from tests.search.admin_site import make_training
from tests.search.stripes import QUICK, make_network, make_stripes

pytestmark = pytest.mark.django_db
ADD = "admin:search_trainingrun_add"
CHANGE = "admin:search_trainingrun_change"
LIST = "admin:search_trainingrun_changelist"


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(factories.StaffFactory())
    return client


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    from search import tasks

    keys: list[int] = []
    monkeypatch.setattr(tasks.training_run, "delay_on_commit", keys.append)
    return keys


def filled(collection: Any, base: Any, **given: Any) -> dict[str, Any]:
    values = {**DEFAULTS.to_dict(), **QUICK, "name": "tuned", **given}
    posted = {name: "" if value is None else value for name, value in values.items() if value is not False}
    return {**posted, "collection": collection.pk, "base": base.pk}


# --- The form


@pytest.mark.torch
def test_the_form_starts_a_run_with_its_options(staff: Client, sent: list[int]) -> None:
    collection, base = make_stripes(each=5), make_network()
    page = staff.get(reverse(ADD))
    assert page.status_code == 200
    assert "attribute:NAME" in page.content.decode()
    response = staff.post(reverse(ADD), filled(collection, base, loss="arcface", margin="20"))
    run = TrainingRun.objects.get()
    assert response["Location"] == reverse(CHANGE, args=[run.pk])
    assert sent == [run.pk]
    assert (run.name, run.kind, run.state, run.collection, run.base) == (
        "tuned",
        "finetune",
        "queued",
        collection,
        base,
    )
    assert run.options == FinetuneOptions.from_dict({**QUICK, "loss": "arcface", "margin": 20.0}).to_dict()
    assert run.created_by is not None


@pytest.mark.parametrize(
    ("given", "field", "said"),
    [
        ({"labels": "colour"}, "labels", "attribute:width"),
        ({"labels": "product"}, "labels", "0 classes with two or more"),
        ({"rate": "5"}, "rate", "not between"),
        ({"name": "random"}, "name", "already"),
        ({"hold_out": "0.9"}, "hold_out", "not between"),
    ],
)
def test_what_cannot_be_is_said_at_its_field(
    staff: Client, sent: list[int], given: dict[str, Any], field: str, said: str
) -> None:
    collection, base = make_stripes(each=5), factories.FeatureModelFactory(name="random", backbone="resnet18")
    page = staff.post(reverse(ADD), filled(collection, base, **given))
    assert page.status_code == 200
    assert any(said in error for error in page.context["adminform"].form.errors[field])
    assert not TrainingRun.objects.exists()
    assert sent == []


def test_a_network_that_does_not_learn_is_said_at_the_base(staff: Client, sent: list[int]) -> None:
    base = factories.FeatureModelFactory()
    page = staff.post(reverse(ADD), filled(make_stripes(each=5), base))
    (error,) = page.context["adminform"].form.errors["base"]
    assert "nothing in it that learns" in error
    assert "lookalike" in error


def test_without_torch_the_extra_is_named(staff: Client, sent: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.training.trainable.find_spec", lambda _: None)
    base = factories.FeatureModelFactory(backbone="resnet18")
    page = staff.post(reverse(ADD), filled(make_stripes(each=5), base))
    assert "extra &#x27;torch&#x27;" in page.content.decode()


def test_who_may_only_look_starts_and_switches_nothing(client: Client, sent: list[int]) -> None:
    user = factories.UserFactory(is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_trainingrun"))
    client.force_login(user)
    run = make_training(factories.CollectionFactory(), factories.FeatureModelFactory())
    assert client.get(reverse(ADD)).status_code == 403
    html = client.get(reverse(CHANGE, args=[run.pk])).content.decode()
    assert "Go on" not in html
    act(client, run, "go_on")
    run.refresh_from_db()
    assert run.state == JobState.CANCELLED


def act(client: Client, run: TrainingRun, action: str) -> str:
    data = {"action": action, "_selected_action": run.pk, "_return": run.pk}
    return client.post(reverse(LIST), data, follow=True).content.decode()


# --- The page of a run


def test_a_running_one_shows_live_curves_and_can_be_cancelled(staff: Client) -> None:
    run = make_training(factories.CollectionFactory(), factories.FeatureModelFactory(backbone="resnet18"))
    TrainingRun.objects.filter(pk=run.pk).update(state=JobState.RUNNING, stage="training")
    html = staff.get(reverse(CHANGE, args=[run.pk])).content.decode()
    assert 'http-equiv="refresh" content="5"' in html
    assert html.count("<polyline") == 2
    assert "0.4000" in html  # the frozen network's
    assert "0.5000 at step 20" in html
    act(staff, run, "cancel")
    run.refresh_from_db()
    assert run.cancel_requested


def test_a_finished_one_rests_and_a_cancelled_one_goes_on(staff: Client, sent: list[int]) -> None:
    run = make_training(factories.CollectionFactory(), factories.FeatureModelFactory(backbone="resnet18"))
    html = staff.get(reverse(CHANGE, args=[run.pk])).content.decode()
    assert "http-equiv" not in html
    assert "Go on" in html
    act(staff, run, "go_on")
    run.refresh_from_db()
    assert (run.state, sent) == (JobState.QUEUED, [run.pk])


def test_a_training_that_never_helped_says_so(staff: Client) -> None:
    run = make_training(factories.CollectionFactory(), factories.FeatureModelFactory(backbone="resnet18"))
    told = {"pictures": 3, "classes": 2, "sha256": "ab" * 32}
    run.results = {
        "improved": False, "frozen_mAP": 0.5, "best_mAP": 0.5, "best_step": 0, "steps": 40, "stopped_early": True,
        "arithmetic": "bfloat16", "side": 160, "left_out": {"queries": 7},
        "trained_on": {**told, "labels": "category", "with_queries": False},
        "held_out": {**told, "unseen_classes": True, "class_names": ["mugs", "pots"]},
    }  # fmt: skip
    run.state = JobState.DONE
    run.save()
    html = staff.get(reverse(CHANGE, args=[run.pk])).content.decode()
    assert "never beaten" in html
    assert "classes never trained on" in html
    assert "mugs, pots" in html
    assert "7 queries" in html
    assert "abababab" in html


def test_the_switch_and_the_way_back(staff: Client) -> None:
    collection = factories.CollectionFactory()
    serving, model = index_for(collection), factories.FeatureModelFactory(name="tuned")
    run = make_training(collection, serving.feature_model)
    run.state, run.result = JobState.DONE, model
    run.save()
    factories.ImageFactory(collection=collection, product=None)
    index = index_beside(collection, model)
    assert "wait for their embedding" in act(staff, run, "activate")
    assert index_for(collection) == serving
    from search.embedding import embed_pending

    embed_pending(collection, model)
    assert "Search with it" in staff.get(reverse(CHANGE, args=[run.pk])).content.decode()
    html = act(staff, run, "activate")
    assert index_for(collection) == index
    assert "Search as before" in html
    run.refresh_from_db()
    assert run.results[BEFORE] == serving.pk
    act(staff, run, "deactivate")
    assert index_for(collection) == serving


def test_deleting_a_run_deletes_its_folder(staff: Client, django_capture_on_commit_callbacks: Any) -> None:
    run = make_training(factories.CollectionFactory(), factories.FeatureModelFactory(backbone="resnet18"))
    run.folder.mkdir(parents=True)
    with django_capture_on_commit_callbacks(execute=True):
        staff.post(reverse("admin:search_trainingrun_delete", args=[run.pk]), {"post": "yes"})
    assert not TrainingRun.objects.exists()
    assert not run.folder.exists()


# --- Curves


def test_ticks_are_round_and_span_the_values() -> None:
    assert ticks_of(0.412, 0.688) == [0.4, 0.5, 0.6, 0.7]
    assert ticks_of(0, 1234)[-1] >= 1234
    assert len(ticks_of(0.5, 0.5)) == 2
    for low, high in ((0.0, 1e-9), (3.2, 3.3), (-1.0, 250.0)):
        ticks = ticks_of(low, high)
        assert ticks[0] <= low
        assert ticks[-1] >= high
        assert len(ticks) <= 8


def test_curves_are_drawn_of_what_is_there() -> None:
    rows = [{"step": 0, "loss": None, "mAP": 0.4}, {"step": 5, "loss": 2.0, "mAP": None}]
    assert curves(rows) == []
    rows += [{"step": 10, "loss": 1.0, "mAP": 0.6}, {"step": 20, "loss": 0.5, "mAP": 0.5}]
    loss, found = curves(rows)
    assert (loss.name, len(loss.line.split()), loss.last, loss.best) == ("loss", 3, 0.5, None)
    assert (found.first, found.highest, found.highest_step, len(found.line.split())) == (0.4, 0.6, 10, 3)
    assert curves([{"loss": 1.0}, {"loss": 2.0}]) == []  # another kind's rows


# --- The command


@pytest.mark.torch
def test_the_command_trains_embeds_and_activates(capsys: pytest.CaptureFixture[str]) -> None:
    collection = make_stripes(each=6)
    make_network()
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in QUICK.items() if name != "freeze_norm"]
    call_command("finetune", "stripes", "--base=random", "--name=tuned", "--train-norm", "--activate", *flags)
    out = capsys.readouterr().out
    run = TrainingRun.objects.get()
    assert f"frozen mAP      {run.results['frozen_mAP']:.4f}" in out
    assert "trained on      24 pictures of 6 classes (category)" in out
    assert "stripes is searched with tuned now" in out
    index = index_for(collection)
    assert index.feature_model.name == "tuned"
    assert index.active_build is not None


@pytest.mark.torch
def test_the_command_says_when_nothing_came_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    make_stripes(each=6)
    make_network()
    still = ["--labels=category", "--steps=1", "--rate=1e-8", "--precision=float32", "--side=32"]
    with pytest.raises(CommandError, match="none was better") as refused:
        call_command("finetune", "stripes", "--base=random", "--name=tuned", *still)
    assert refused.value.returncode == 3
    assert "at step 0" in capsys.readouterr().out


def test_the_command_names_what_is_missing() -> None:
    with pytest.raises(CommandError, match="Say which base"):
        call_command("finetune", "stripes", "--name=x")
    with pytest.raises(CommandError, match="no collection 'stripes'"):
        call_command("finetune", "stripes", "--base=x", "--name=y")
    make_stripes(each=5)
    factories.FeatureModelFactory(name="classical")
    with pytest.raises(CommandError, match="nothing in it that learns"):
        call_command("finetune", "stripes", "--base=classical", "--name=y")
    other = training_create("distill", "other")
    for number in (other.pk, 999):
        with pytest.raises(CommandError, match="no fine-tuning"):
            call_command("finetune", f"--resume={number}")


def test_the_bar_tells_the_newest_figures() -> None:
    run = TrainingRun(curve=[{"step": 0, "loss": None, "mAP": 0.4}, {"step": 1, "loss": 0.25, "mAP": None}])
    assert newest(run) == "loss 0.250, mAP 0.400 (frozen 0.400)"
