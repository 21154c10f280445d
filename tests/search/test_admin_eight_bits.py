"""8 bits in the admin: started from a feature model, figures on its page, accepted by a person."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from catalog.jobs import JobState
from search.builds import index_for
from search.embedding import feature_model_prepare
from search.models import FeatureModel, TrainingRun
from search.models.quantisation import check_may_serve
from search.quantisations import QuantiseOptions
from tests import factories
from tests.search.test_quantisations import FIGURES, SMALL
from tests.search.training.test_quantise import write_network

pytestmark = pytest.mark.django_db
LIST = "admin:search_featuremodel_changelist"


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(factories.StaffFactory(username="ada"))
    return client


@pytest.fixture
def base(tmp_path: Path) -> FeatureModel:
    path = write_network(tmp_path / "small.onnx")
    path.with_suffix(".json").write_text(json.dumps({"resize": 64, "crop": 64}))
    return feature_model_prepare(FeatureModel.objects.create(name="float", backbone="onnx", weights=str(path)))


def act(client: Client, action: str, row: FeatureModel, **more: Any) -> str:
    response = client.post(reverse(LIST), {"action": action, "_selected_action": [row.pk], **more}, follow=True)
    assert response.status_code == 200
    return response.content.decode()


def page(client: Client, row: Any) -> str:
    return client.get(reverse(f"admin:search_{row._meta.model_name}_change", args=[row.pk])).content.decode()


def test_it_is_asked_started_and_shown(
    staff: Client,
    base: FeatureModel,
    celery_eager: None,
    django_capture_on_commit_callbacks: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small = partial(QuantiseOptions, **SMALL)  # a run of the usual size takes too long here
    monkeypatch.setattr("search.quantisations.QuantiseOptions", small)
    collection = factories.CollectionFactory()
    for seed in range(26):
        factories.ImageFactory(collection=collection, seed=seed, product=None)
    index = index_for(collection)
    index.feature_model = base
    index.save()
    assert "Make a model in 8 bits" in act(staff, "quantise", base)
    assert not TrainingRun.objects.exists()
    with django_capture_on_commit_callbacks(execute=True):
        act(staff, "quantise", base, confirmed="1")
    run = TrainingRun.objects.get()
    assert (run.state, run.created_by.username) == (JobState.DONE, "ada"), run.error
    made = run.result
    assert f"{made.quantisation['cosine_mean']:.4f}" in page(staff, made)
    assert "float 8 bits" in page(staff, run)


def test_a_model_nobody_searches_with_has_no_pictures_to_calibrate_on(staff: Client, base: FeatureModel) -> None:
    assert "no pictures to calibrate on" in act(staff, "quantise", base, confirmed="1")


def test_a_loss_is_shown_and_accepted(staff: Client, base: FeatureModel) -> None:
    made = factories.FeatureModelFactory(name="eight", quantised_from=base, quantisation={**FIGURES, "loss": 0.05})
    said = page(staff, made)
    assert "0.0500 of mAP by its 8 bits" in said
    assert "accept_loss" in said
    assert "0.0500 of mAP" in act(staff, "accept_loss", made)
    act(staff, "accept_loss", made, confirmed="1")
    made.refresh_from_db()
    assert made.quantisation["accepted"]["by"] == "ada"
    check_may_serve(made)
    assert "accepted by" in page(staff, made)
    assert 'value="accept_loss"' not in page(staff, made)


def test_the_form_does_not_make_it_the_default_before_it_may_serve(staff: Client, base: FeatureModel) -> None:
    made = factories.FeatureModelFactory(name="eight", quantised_from=base)
    address = reverse("admin:search_featuremodel_change", args=[made.pk])
    form = staff.get(address).context["adminform"].form
    values = {name: form.initial.get(name) for name in form.fields}
    values |= {"is_default": "on", "scales": "[]", "preprocessing": "{}", "projected_from": ""}
    said = staff.post(address, {name: value for name, value in values.items() if value is not None}).content.decode()
    made.refresh_from_db()
    assert not made.is_default
    assert "what that costs was not measured" in said


def test_a_copy_has_to_be_measured_again(staff: Client, base: FeatureModel) -> None:
    made = factories.FeatureModelFactory(name="eight", quantised_from=base, quantisation=FIGURES)
    act(staff, "copy", made)
    copy = FeatureModel.objects.get(name="eight copy")
    assert (copy.quantised_from, copy.quantisation) == (base, {})
