"""The product branch as a training run: rows in, a feature model out that needs no picture again."""

from __future__ import annotations

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from catalog.models import ImageRole, Product
from search.admin.branches import branch_name, branch_summary, branch_tables
from search.attributes import BranchOptions, branch_create, choices, sample_of
from search.branch_report import accuracies, left_out, rankings
from search.embedding import descriptor_of, embed_pending, extractor_for, feature_model_prepare
from search.extraction.attributes import CATEGORY
from search.extraction.errors import WeightsChanged
from search.extraction.extractor import Extractor
from search.feature_models import NameTaken
from search.looks import branch_of, looks_like
from search.models import AttributeProposal, Embedding, FeatureModel, SearchIndex, TrainingRun
from search.projections import NothingToFitOn, ProjectedAlready
from search.training.branch_labels import Chosen, LeftOut
from search.training.errors import BadTrainingOptions, TooFewLabels
from search.trainings import training_run
from search.vectors import from_bytes
from tests import factories
from tests.search.branches import make_products

pytestmark = pytest.mark.django_db
COLOURS = {"red": (200, 30, 30), "green": (30, 170, 60), "blue": (40, 60, 200)}


def painted(colour: str, seed: int) -> bytes:
    """A picture of one colour, not quite the same each time."""
    import io

    from PIL import Image

    rng = np.random.default_rng(seed)
    pixels = np.array(COLOURS[colour]) + rng.normal(0, 25, (48, 48, 3)) + rng.normal(0, 20, 3)
    buffer = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def base() -> FeatureModel:
    return feature_model_prepare(factories.FeatureModelFactory(name="classical"))


@pytest.fixture
def collection():
    """Sixty products with a picture each; the last three lack their colour."""
    collection = factories.CollectionFactory(slug="paint", name="Paint")
    for n in range(60):
        colour = [*COLOURS][n % 3]
        stated = {"colour": colour, "litres": n} if n < 57 else {}
        product = factories.ProductFactory(collection=collection, sku=f"C{n:02}", category="", attributes=stated)
        factories.ImageFactory(product=product, data=painted(colour, n))
    return collection


@pytest.fixture
def run(collection, base) -> TrainingRun:
    run = training_run(branch_create(collection, base, "classical with colours").pk)
    assert run.state == "done", run.error
    return run


def test_it_learns_measures_and_proposes(run, collection) -> None:
    [head] = run.results["heads"]
    assert head["attribute"] == "colour"
    assert head["accuracy"] > head["majority"] + 0.3
    assert run.results["left_out"] == [{"attribute": "litres", "why": "numbers"}]
    assert [row["by"] for row in run.results["mAP"]] == ["colour"]
    assert run.results["proposals"] == 3
    proposed = AttributeProposal.objects.order_by("product__sku")
    assert [row.value for row in proposed] == ["red", "green", "blue"]
    assert {row.feature_model for row in proposed} == {run.result}
    assert run.result.projected_from == run.base
    index = SearchIndex.objects.get(collection=collection, feature_model=run.result)
    assert not index.is_default


def test_embedding_with_it_needs_no_picture_again(run, collection, monkeypatch) -> None:
    for part in ("prepare", "describe"):
        monkeypatch.setattr(Extractor, part, lambda *_: pytest.fail("a picture was opened"))
    assert embed_pending(collection, run.result) == 60
    assert Embedding.objects.filter(feature_model=run.result, vector__isnull=False).count() == 60


def test_stored_and_extracted_descriptors_are_the_same(run, collection) -> None:
    image = collection.images.first()
    extracted = descriptor_of(image, run.result)
    embed_pending(collection, run.result)
    stored = from_bytes(Embedding.objects.get(feature_model=run.result, image=image).vector, run.result.dim)
    assert stored == pytest.approx(extracted, abs=3e-3)
    assert np.linalg.norm(extracted) == pytest.approx(1, abs=1e-5)


def test_the_fingerprint_follows_the_heads(run, collection, base, settings) -> None:
    other = training_run(branch_create(collection, base, "other", BranchOptions(seed=5)).pk).result
    assert len({base.fingerprint, run.result.fingerprint, other.fingerprint}) == 3
    run.result.projection = other.projection  # another file under the same name
    run.result.fingerprint = ""
    with pytest.raises(WeightsChanged):
        extractor_for(run.result)


def test_a_descriptor_tells_what_it_looks_like(run, collection) -> None:
    image = collection.images.get(product__sku="C04")
    [seen] = looks_like(run.result, descriptor_of(image, run.result)[None])
    assert (seen.attribute, seen.value) == ("colour", "green")
    assert seen.confidence > 0.6
    assert looks_like(run.base, descriptor_of(image, run.base)[None]) == ()


def test_examples_that_hits_should_be_unlike_say_nothing(run, collection) -> None:
    green, red = (descriptor_of(collection.images.get(product__sku=sku), run.result) for sku in ("C04", "C03"))
    [seen] = looks_like(run.result, np.stack([green, red]), [1.0, -1.0])
    assert seen.value == "green"
    assert looks_like(run.result, red[None], [-1.0]) == ()


def test_a_lost_file_costs_the_words_alone(run, collection, settings, caplog) -> None:
    x = descriptor_of(collection.images.first(), run.result)[None]
    for path in settings.WEIGHTS_ROOT.glob("branch*"):
        path.unlink()
    branch_of.__globals__["_opened"].cache_clear()
    assert looks_like(run.result, x) == ()
    assert "are left out" in caplog.text


def test_the_category_is_a_head_and_comes_first() -> None:
    collection = factories.CollectionFactory()
    make_products(collection, 36)
    found = choices(collection)
    assert [one.attribute for one in found if isinstance(one, Chosen)] == [CATEGORY, "colour"]
    assert [one for one in found if isinstance(one, LeftOut)] == [LeftOut("watts", "numbers")]


def test_an_attribute_called_category_gives_way_to_the_field() -> None:
    collection = factories.CollectionFactory()
    make_products(collection, 36)
    Product.objects.filter(collection=collection).update(attributes={"category": "same"})
    [chosen] = [one for one in choices(collection) if isinstance(one, Chosen)]
    assert chosen.values == ("bowls", "mugs", "plates")


def test_query_pictures_and_other_collections_are_not_learnt_from(collection, base) -> None:
    embed_pending(collection, base)
    before, keys = sample_of(collection, base, [Chosen("colour", True, ("red",), 57)])
    product = Product.objects.get(sku="C00")
    factories.ImageFactory(product=product, role=ImageRole.QUERY, seed=900)
    other = factories.CollectionFactory()
    factories.ImageFactory(product=factories.ProductFactory(collection=other), seed=901)
    for one in (collection, other):
        embed_pending(one, base)
    after, _ = sample_of(collection, base, [Chosen("colour", True, ("red",), 57)])
    assert (before.x == after.x).all()
    assert keys[0] == "C00"
    assert before.stated["colour"][:2] == [("red",), ("green",)]
    assert before.stated["colour"][-1] == ()


def test_what_cannot_work_is_refused_at_once(run, collection, base) -> None:
    with pytest.raises(ProjectedAlready):
        branch_create(collection, run.result, "twice")
    with pytest.raises(NameTaken):
        branch_create(collection, base, run.name)
    with pytest.raises(NothingToFitOn):
        branch_create(factories.CollectionFactory(), base, "of nothing")
    few = factories.CollectionFactory()
    factories.ImageFactory(product=factories.ProductFactory(collection=few))
    with pytest.raises(TooFewLabels):
        branch_create(few, base, "of one")
    for given in ({"rate": 3}, {"propose_from": 2.0}):
        with pytest.raises(BadTrainingOptions):
            BranchOptions.from_dict(given)


def test_done_again_after_a_kill_it_changes_nothing(run) -> None:
    from search.attributes import run as work

    models, proposals = FeatureModel.objects.count(), AttributeProposal.objects.count()
    work(run)
    assert (FeatureModel.objects.count(), AttributeProposal.objects.count()) == (models, proposals)


def test_the_tables_tell_what_was_found(run) -> None:
    [row] = accuracies(run.results).rows
    assert row[0] == "colour"
    assert row[3].endswith(" %")
    assert rankings(run.results).rows[0][0] == "the same: colour"
    assert left_out(run.results).rows == [["litres", "numbers are amounts, not kinds"]]
    assert [table.title for table in branch_tables(run)] == ["Attribute heads", "Rankings", "Left out"]
    assert "Proposals to be decided: 3." in branch_summary(run)
    assert branch_name(run.base, run.collection) == "classical paint"


def test_the_command(collection, base, capsys) -> None:
    call_command("fit_branch", "paint", base="classical", name="colours", embed=True)
    said = capsys.readouterr().out
    assert "60 pictures of paint embedded with colours." in said
    assert "the same: colour" in said
    assert Embedding.objects.filter(feature_model__name="colours").count() == 60
    with pytest.raises(CommandError, match="There is a feature model colours already"):
        call_command("fit_branch", "paint", base="classical", name="colours")
