"""Every endpoint against every kind of caller. An endpoint missing from the table fails the test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from catalog.models import Collection
from search.models import DuplicateGroup, DuplicateMember, DuplicateScan, QueryResult, Scope
from tests import factories
from tests.search.api import contract
from tests.search.api.conftest import Api, error_of

pytestmark = pytest.mark.django_db

READ, WRITE, ADMIN = Scope.READ, Scope.WRITE, Scope.ADMIN
IN = "collections/secret/"
# operation -> method, path, scope it needs
ENDPOINTS: dict[str, tuple[str, str, Scope]] = {
    "search": ("POST", "search/", READ),
    "explain": ("POST", "explain/", READ),
    "explain_heat_map": ("POST", "explain/heat-map/", READ),
    "collections_get": ("GET", IN, READ),
    "products_list": ("GET", f"{IN}products/", READ),
    "products_create": ("POST", f"{IN}products/", WRITE),
    "products_get": ("GET", f"{IN}products/A/1/", READ),
    "products_put": ("PUT", f"{IN}products/A/1/", WRITE),
    "products_patch": ("PATCH", f"{IN}products/A/1/", WRITE),
    "products_delete": ("DELETE", f"{IN}products/A/1/", WRITE),
    "images_list": ("GET", f"{IN}images/", READ),
    "images_add": ("POST", f"{IN}images/", WRITE),
    "images_get": ("GET", f"{IN}images/%(image)s/", READ),
    "images_delete": ("DELETE", f"{IN}images/%(image)s/", WRITE),
    "imports_list": ("GET", f"{IN}imports/", WRITE),
    "imports_start": ("POST", f"{IN}imports/", WRITE),
    "imports_get": ("GET", f"{IN}imports/%(job)s/", WRITE),
    "imports_cancel": ("POST", f"{IN}imports/%(job)s/cancel/", WRITE),
    "imports_report": ("GET", f"{IN}imports/%(job)s/report/", WRITE),
    "indexes_list": ("GET", f"{IN}indexes/", READ),
    "indexes_get": ("GET", f"{IN}indexes/main/", READ),
    "indexes_rollback": ("POST", f"{IN}indexes/main/rollback/", ADMIN),
    "builds_list": ("GET", f"{IN}builds/", READ),
    "builds_start": ("POST", f"{IN}builds/", ADMIN),
    "builds_get": ("GET", f"{IN}builds/%(build)s/", READ),
    "builds_activate": ("POST", f"{IN}builds/%(build)s/activate/", ADMIN),
    "builds_cancel": ("POST", f"{IN}builds/%(build)s/cancel/", ADMIN),
    "benchmarks_list": ("GET", f"{IN}benchmarks/", READ),
    "evaluations_list": ("GET", f"{IN}evaluations/", READ),
    "evaluations_start": ("POST", f"{IN}evaluations/", ADMIN),
    "evaluations_get": ("GET", f"{IN}evaluations/%(run)s/", READ),
    "evaluations_cancel": ("POST", f"{IN}evaluations/%(run)s/cancel/", ADMIN),
    "evaluations_queries": ("GET", f"{IN}evaluations/%(run)s/queries/", READ),
    "evaluations_compare": ("GET", f"{IN}evaluations/compare/?a=%(run)s&b=%(run)s", READ),
    "duplicates_list": ("GET", f"{IN}duplicates/", WRITE),
    "duplicates_get": ("GET", f"{IN}duplicates/%(group)s/", WRITE),
    "duplicates_decide": ("POST", f"{IN}duplicates/%(group)s/", WRITE),
    "duplicates_scan": ("POST", f"{IN}duplicates/scan/", WRITE),
    "duplicates_scan_get": ("GET", f"{IN}duplicates/scan/%(scan)s/", WRITE),
    "duplicates_scan_cancel": ("POST", f"{IN}duplicates/scan/%(scan)s/cancel/", WRITE),
}
ELSEWHERE = {"collections_list", "health"}  # show to each what it may see; tested below
REFUSED = {401, 403, 404}
RANK = {READ: 0, WRITE: 1, ADMIN: 2}


@pytest.fixture
def stored(private: Collection) -> dict[str, int]:
    """One row of everything in the collection, by name."""
    product = factories.ProductFactory(collection=private, sku="A/1")
    image = factories.ImageFactory(product=product)
    job = factories.ImportJobFactory(collection=private)
    job.report.name = "report.csv"
    job.report.storage.save("report.csv", _file())
    job.save()
    benchmark = factories.BenchmarkFactory(collection=private)
    index = factories.SearchIndexFactory(collection=private)
    run = factories.EvaluationRunFactory(benchmark=benchmark, index=index)
    query = factories.QueryFactory(benchmark=benchmark)
    QueryResult.objects.create(run=run, query=query, ranking=[[image.pk, 0.5, "easy"]])
    build = factories.IndexBuildFactory(index=index)
    scan = DuplicateScan.objects.create(
        collection=private, feature_model=index.feature_model, max_hash_distance=6, min_score=0.9
    )
    group = DuplicateGroup.objects.create(collection=private, scan=scan, kind="exact")
    for member in (image, factories.ImageFactory(product=product)):
        DuplicateMember.objects.create(group=group, image=member)
    rows = {"image": image, "job": job, "build": build, "run": run, "scan": scan, "group": group}
    return {name: row.pk for name, row in rows.items()}


def _file() -> Any:
    from django.core.files.base import ContentFile

    return ContentFile(b"row,error\n3,no picture\n")


def call(api: Api, operation: str, stored: dict[str, int]) -> Any:
    method, path, _scope = ENDPOINTS[operation]
    body = {"collection": "secret", "image_id": stored["image"]} if operation.startswith(("search", "explain")) else {}
    body |= {"hit": stored["image"]} if operation.startswith("explain") else {}
    return api.call(method, path % stored, None if method in ("GET", "DELETE") else body)


def test_the_table_has_every_endpoint(db: None) -> None:
    paths = contract.schema()["paths"].values()
    assert {operation["operationId"] for methods in paths for operation in methods.values()} == {*ENDPOINTS, *ELSEWHERE}


@pytest.mark.parametrize("operation", ENDPOINTS)
@pytest.mark.parametrize("scope", [READ, WRITE, ADMIN])
def test_scopes(operation: str, scope: Scope, stored: dict[str, int], make_key: Callable[..., str]) -> None:
    response = call(Api(make_key(scope)), operation, stored)
    if RANK[scope] >= RANK[ENDPOINTS[operation][2]]:
        assert response.status_code not in REFUSED, response.content
    else:
        assert response.status_code == 403
        assert error_of(response)["code"] == "permission_denied"


@pytest.mark.parametrize("operation", ENDPOINTS)
def test_without_a_key_a_private_collection_is_not_there(operation: str, stored: dict[str, int]) -> None:
    response = call(Api(), operation, stored)
    reads = ENDPOINTS[operation][2] == READ
    assert response.status_code == (404 if reads else 401)
    assert error_of(response)["code"] == ("collection_not_found" if reads else "not_authenticated")
    assert response.has_header("WWW-Authenticate") is not reads


@pytest.mark.parametrize("operation", ENDPOINTS)
def test_without_a_key_a_public_collection_is_read_only(
    operation: str, stored: dict[str, int], private: Collection
) -> None:
    private.is_public = True
    private.save()
    response = call(Api(), operation, stored)
    if ENDPOINTS[operation][2] == READ:
        assert response.status_code not in REFUSED, response.content
    else:
        assert response.status_code == 401


@pytest.mark.parametrize("operation", ENDPOINTS)
def test_a_key_bound_elsewhere_does_not_see_it(
    operation: str, stored: dict[str, int], collection: Collection, make_key: Callable[..., str]
) -> None:
    response = call(Api(make_key(ADMIN, collection)), operation, stored)
    assert response.status_code == 404
    assert error_of(response)["code"] == "collection_not_found"


def test_a_key_whose_only_collection_was_deleted_sees_nothing(
    collection: Collection, private: Collection, make_key: Callable[..., str]
) -> None:
    api = Api(make_key(ADMIN, private))
    private.delete()
    assert api.get("collections/").json()["results"] == []
    assert api.get("collections/lamps/").status_code == 404


@pytest.mark.parametrize("operation", ENDPOINTS)
def test_a_bound_key_may_in_its_own(
    operation: str, stored: dict[str, int], private: Collection, make_key: Callable[..., str]
) -> None:
    assert call(Api(make_key(ADMIN, private)), operation, stored).status_code not in REFUSED


@pytest.mark.parametrize("operation", [name for name, row in ENDPOINTS.items() if "%(" in row[1]])
def test_rows_of_another_collection_are_not_reached_through_ones_own(
    operation: str, stored: dict[str, int], collection: Collection, make_key: Callable[..., str]
) -> None:
    """An id in the address belongs to the slug before it."""
    method, path, _scope = ENDPOINTS[operation]
    api = Api(make_key(ADMIN, collection))
    assert api.call(method, path.replace("secret", "lamps") % stored).status_code == 404


def test_search_by_a_picture_of_another_collection(
    stored: dict[str, int], gallery: Collection, make_key: Callable[..., str]
) -> None:
    response = Api(make_key(READ, gallery)).post("search/", {"collection": "lamps", "image_id": stored["image"]})
    assert response.status_code == 404
    assert error_of(response)["code"] == "image_not_found"


def test_lists_show_what_one_may_see(
    collection: Collection, private: Collection, make_key: Callable[..., str], reader: Api, anonymous: Api
) -> None:
    def slugs(api: Api) -> set[str]:
        return {row["slug"] for row in api.get("collections/").json()["results"]}

    assert slugs(reader) == {"lamps", "secret"}
    assert slugs(anonymous) == {"lamps"}
    assert slugs(Api(make_key(READ, private))) == {"secret"}


def test_why_a_job_failed_is_told_to_writers_only(reader: Api, writer: Api, private: Collection) -> None:
    index = factories.SearchIndexFactory(collection=private)
    factories.IndexBuildFactory(index=index, state="failed", error="/srv/indexes is full")
    path = "collections/secret/builds/"
    assert reader.get(path).json()["results"][0]["error"] == ""
    assert writer.get(path).json()["results"][0]["error"] == "/srv/indexes is full"
