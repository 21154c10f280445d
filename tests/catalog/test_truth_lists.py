"""Published ground truths: the real Oxford5k files, and small files in the formats of the others."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from catalog.importers.truth_lists import BadTruth, UnknownTruthFormat, read_truth
from catalog.models import Benchmark, Grade, Image, ImageRole, Label, Query, Relevance
from catalog.truth_import import NoPictureFound, OtherRelevance, TooManyLabels, truth_import
from tests.factories import BenchmarkFactory, CollectionFactory, ImageFactory, ProductFactory

SOP = """image_id class_id super_class_id path
1 1 1 bicycle_final/111085122871_0.JPG
2 1 1 bicycle_final/111085122871_1.JPG
3 1 1 bicycle_final/111085122871_2.JPG
4 2 1 bicycle_final/111265328556_0.JPG
5 2 1 bicycle_final/111265328556_1.JPG
60 7 12 toaster_final/350901340_0.JPG
"""
GROCERY = """train/Fruit/Apple/Golden-Delicious/Golden-Delicious_001.jpg, 0, 0
train/Fruit/Apple/Golden-Delicious/Golden-Delicious_002.jpg, 0, 0
train/Fruit/Lemon/Lemon_001.jpg, 7, 3
"""


def oxford(folder: Path, query: str = "oxc1_all_souls_000013 136.5 34.1 648.5 955.7", **lists: str) -> Path:
    """One query in the form of the published files, with their prefix and Windows line ends."""
    folder.mkdir(exist_ok=True)
    (folder / "all_souls_1_query.txt").write_text(f"{query}\r\n")
    for name in ("good", "ok", "junk"):
        (folder / f"all_souls_1_{name}.txt").write_text(lists.get(name, ""))
    return folder


@pytest.mark.data
def test_the_real_oxford5k_files(shared: Path) -> None:
    truth = read_truth(shared / "data" / "oxford5k-gt")
    assert truth.format == "oxford5k"
    assert len(truth.queries) == 55
    landmarks = Counter(query.name.rsplit("_", 1)[0] for query in truth.queries)
    assert len(landmarks) == 11
    assert set(landmarks.values()) == {5}
    grades = Counter(label.grade for label in truth.labels())
    lines = {
        suffix: sum(len(file.read_text().split()) for file in (shared / "data" / "oxford5k-gt").glob(f"*_{suffix}.txt"))
        for suffix in ("good", "ok", "junk")
    }
    assert grades == {Grade.EASY: lines["good"], Grade.HARD: lines["ok"], Grade.JUNK: lines["junk"]}
    assert sum(grades.values()) == 4335
    for query in truth.queries:
        assert query.box is not None
        assert query.box[2] > 10
        assert query.box[3] > 10
    assert truth.queries[0].box == (136, 34, 512, 922)


def test_oxford_prefix_and_box(tmp_path: Path) -> None:
    truth = read_truth(oxford(tmp_path / "gt", good="all_souls_000013\r\nall_souls_000026\r\n", junk="x_1\r\n"))
    (query,) = truth.queries
    assert (query.name, query.picture, query.box) == ("all_souls_1", "all_souls_000013", (136, 34, 512, 922))
    assert [(label.picture, label.grade) for label in truth.labels()] == [
        ("all_souls_000013", "easy"),
        ("all_souls_000026", "easy"),
        ("x_1", "junk"),
    ]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("a 1 2 3", r"all_souls_1_query.txt:1: expected a picture"),
        ("a 1 2 3 x", r"all_souls_1_query.txt:1: expected a picture"),
        ("a 9 2 3 4", r"all_souls_1_query.txt:1: the box 9 2 3 4 is empty"),
        ("a 1 2 nan 4", r"all_souls_1_query.txt:1: the box"),
        ("a 1 2 3 4\nb 1 2 3 4", r"all_souls_1_query.txt: it has 2 lines"),
        ("", r"all_souls_1_query.txt: it has 0 lines"),
    ],
)
def test_oxford_errors_name_file_and_line(tmp_path: Path, query: str, says: str) -> None:
    with pytest.raises(BadTruth, match=says):
        read_truth(oxford(tmp_path / "gt", query))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    folder = oxford(tmp_path / "gt")
    (folder / "all_souls_1_ok.txt").unlink()
    with pytest.raises(BadTruth, match=r"all_souls_1_ok.txt: the file is missing"):
        read_truth(folder)


def test_stanford_online_products(tmp_path: Path) -> None:
    file = tmp_path / "Ebay_test.txt"
    file.write_text(SOP)
    truth = read_truth(file)
    assert (truth.format, len(truth.queries), len(truth)) == ("sop", 6, 3 * 2 + 2)
    assert Counter(label.query for label in truth.labels())["bicycle_final/111085122871_1.JPG"] == 2
    file.write_text(SOP + "7 x 1 a.jpg\n")
    with pytest.raises(BadTruth, match=r"Ebay_test.txt:8: expected four columns"):
        read_truth(file, "sop")
    file.write_text(SOP + "9 9 1 bicycle_final/111085122871_0.JPG\n")
    with pytest.raises(BadTruth, match=r"Ebay_test.txt:8: .* second time"):
        read_truth(file)


@pytest.mark.data
def test_the_real_grocery_list(shared: Path) -> None:
    file = shared / "data" / "grocery-store" / "test.txt"
    truth = read_truth(file)
    assert truth.format == "grocery"
    assert len(truth.queries) == len(file.read_text().split("\n")) - 1
    assert truth.classes is not None
    assert len(truth.classes.classes) == 81


def test_tables(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("query;image;grade\nquery/q.jpg;database/a.jpg;positive\n\nquery/q.jpg;b.jpg;junk\n")
    truth = read_truth(file)
    assert [query.name for query in truth.queries] == ["q.jpg"]
    assert [(label.picture, label.grade) for label in truth.labels()] == [("a.jpg", "easy"), ("b.jpg", "junk")]
    file.write_text("query,image,grade\nq,a,easy\n\nq,b,superb\n")
    with pytest.raises(BadTruth, match=r"labels.csv:4: 'superb' is no grade \(known: easy"):
        read_truth(file)
    file.write_text("query,image,grade\nq,,easy\n")
    with pytest.raises(BadTruth, match=r"labels.csv:2: a query and an image"):
        read_truth(file)


def test_what_it_is_not(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("Buy milk.\n")
    with pytest.raises(UnknownTruthFormat, match=r"notes.txt.*oxford5k, sop, grocery, csv"):
        read_truth(file)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadTruth, match=r"notes.txt: it is not UTF-8"):
        read_truth(file)


@pytest.fixture
def gallery(db: None) -> object:
    """Stand-in pictures under Oxford's names, in a folder as the archive unpacks them."""
    collection = CollectionFactory(slug="oxford")
    for number in (13, 26, 41):
        source = f"oxbuild_images/all_souls_{number:06}.jpg"
        ImageFactory(collection=collection, product=None, source=source, size_px=(1024, 980))
    return collection


@pytest.mark.django_db
class TestImport:
    def test_oxford(self, gallery: object, tmp_path: Path) -> None:
        lists = {"good": "all_souls_000013\nall_souls_000026", "ok": "all_souls_000041", "junk": "magdalen_000001\n"}
        truth = read_truth(oxford(tmp_path / "gt", **lists))
        report = truth_import(gallery, "classic", truth)
        assert (report.queries, report.labels, report.labels_missing, report.pictures_missing) == (1, 3, 1, 1)
        assert report.missing == {"magdalen_000001": 1}
        query = Query.objects.get()
        assert query.box == [136, 34, 512, 922]
        assert query.image.source == "oxbuild_images/all_souls_000013.jpg"
        assert dict(Label.objects.values_list("image__source", "grade")) == {
            "oxbuild_images/all_souls_000013.jpg": "easy",
            "oxbuild_images/all_souls_000026.jpg": "easy",
            "oxbuild_images/all_souls_000041.jpg": "hard",
        }
        version = Benchmark.objects.get().version
        assert truth_import(gallery, "classic", truth).version == version  # nothing changed

    def test_another_box_is_another_version(self, gallery: object, tmp_path: Path) -> None:
        good = "all_souls_000026"
        first = truth_import(gallery, "classic", read_truth(oxford(tmp_path / "a", good=good)))
        moved = oxford(tmp_path / "b", "oxc1_all_souls_000013 1 1 5 5", good=good)
        second = truth_import(gallery, "classic", read_truth(moved))
        assert second.version == first.version + 1
        assert Query.objects.get().box == [1, 1, 4, 4]

    def test_missing_queries_are_listed(self, gallery: object, tmp_path: Path) -> None:
        folder = oxford(tmp_path / "gt", "oxc1_keble_000001 1 2 3 4", good="all_souls_000013")
        report = truth_import(gallery, "classic", read_truth(folder))
        assert (report.queries, report.queries_missing, report.labels_missing) == (0, ["all_souls_1"], 1)

    def test_classes(self, tmp_path: Path) -> None:
        file = tmp_path / "Ebay_test.txt"
        file.write_text(SOP)
        collection = CollectionFactory()
        for line in SOP.splitlines()[1:5]:
            source = f"Stanford_Online_Products/{line.split()[3]}"
            ImageFactory(product=ProductFactory(collection=collection), source=source)
        report = truth_import(collection, "sop", read_truth(file))
        assert (report.queries, report.labels, len(report.queries_missing)) == (4, 3 * 2, 2)
        assert Label.objects.exclude(grade="easy").count() == 0

    def test_a_query_picture_comes_before_the_gallery(self, tmp_path: Path) -> None:
        collection = CollectionFactory()
        asked = ImageFactory(collection=collection, product=None, source="q.jpg", role=ImageRole.QUERY)
        ImageFactory(collection=collection, product=None, source="q.jpg")
        ImageFactory(collection=collection, product=None, source="a.jpg")
        file = tmp_path / "labels.csv"
        file.write_text("query,image,grade\nq.jpg,a.jpg,easy\n")
        truth_import(collection, "table", read_truth(file))
        assert Query.objects.get().image == asked

    def test_refusals(self, gallery: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        truth = read_truth(oxford(tmp_path / "gt", good="all_souls_000013"))
        with pytest.raises(NoPictureFound, match="Import the pictures first"):
            truth_import(CollectionFactory(), "classic", truth)
        BenchmarkFactory(collection=gallery, name="taken", relevance=Relevance.CATEGORY)
        with pytest.raises(OtherRelevance, match="another name"):
            truth_import(gallery, "taken", truth)
        monkeypatch.setattr("catalog.truth_import.MOST_LABELS", 0)
        with pytest.raises(TooManyLabels):
            truth_import(gallery, "classic", truth)
        assert not Label.objects.exists()

    def test_command_and_zip(self, gallery: object, tmp_path: Path) -> None:
        folder = oxford(tmp_path / "gt_files", good="all_souls_000026", junk="keble_000009")
        out = StringIO()
        call_command("import_ground_truth", "oxford", str(folder), stdout=out)
        assert "queries    1, 1 new" in out.getvalue()
        assert "keble_000009" in out.getvalue()
        archive = tmp_path / "gt.zip"
        with zipfile.ZipFile(archive, "w") as file:
            for one in folder.iterdir():
                file.write(one, one.name)
        out = StringIO()
        call_command("import_ground_truth", "oxford", str(archive), "--benchmark", "gt_files", "--json", stdout=out)
        assert json.loads(out.getvalue())["labels_added"] == 0
        with pytest.raises(CommandError, match=r"no collection 'paris'.*oxford"):
            call_command("import_ground_truth", "paris", str(folder))
        with pytest.raises(CommandError, match="no file or folder"):
            call_command("import_ground_truth", "oxford", str(tmp_path / "none"))
        assert Image.objects.count() == 3
