"""The loop: what is added, known and bad; cancelling; being killed; and the report."""

from __future__ import annotations

import csv
import io
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError, OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from catalog.importers import batch, run, sources
from catalog.importers.errors import BadArchive, ImportRefused, MissingColumns, PathMissing, UploadTooLarge
from catalog.importers.rows import Row
from catalog.jobs import JobState
from catalog.models import Benchmark, Collection, Image, ImportJob, Label, Product, Query
from catalog.services import import_create, import_run
from catalog.signals import images_added
from tests.catalog.helpers import body, bomb, layout_files, remote, web_server, write_tree, write_zip
from tests.factories import CollectionFactory, ImportJobFactory, ProductFactory, picture

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[3]


def import_path(path: Path, collection: Collection | None = None, **options: Any) -> ImportJob:
    job = import_create(collection or CollectionFactory.create(), path=path, **options)
    return import_run(job.pk)


def counts(job: ImportJob) -> tuple[str, int, int, int]:
    job.refresh_from_db()
    return job.state, job.added, job.known, job.bad


def report(job: ImportJob) -> list[dict[str, str]]:
    with job.report.open("rb") as file:
        return list(csv.DictReader(io.StringIO(file.read().decode("utf-8-sig"))))


def media(settings: Any) -> set[str]:
    root = Path(settings.MEDIA_ROOT)
    folders = ("images", "thumbnails")
    return {str(path.relative_to(root)) for folder in folders for path in (root / folder).rglob("*") if path.is_file()}


def named() -> set[str]:
    return {name for pair in Image.objects.values_list("file", "thumbnail") for name in pair}


class TestFolder:
    def test_products_pictures_and_announcements(self, tmp_path: Path, settings: Any) -> None:
        heard: list[list[int]] = []

        def hear(sender: object, image_ids: list[int], **kwargs: Any) -> None:
            heard.append(image_ids)

        write_tree(tmp_path / "in", {f"mugs/{n:03}.jpg": picture(n) for n in range(130)})
        images_added.connect(hear)
        try:
            job = import_path(tmp_path / "in")
        finally:
            images_added.disconnect(hear)
        assert counts(job) == ("done", 130, 0, 0)
        assert (job.done, job.total, job.percent) == (130, 130, 100)
        assert not job.report
        assert [len(ids) for ids in heard] == [64, 64, 2]  # once a batch
        assert sorted(pk for ids in heard for pk in ids) == sorted(Image.objects.values_list("pk", flat=True))
        product = Product.objects.get(sku="mugs/007")
        assert (product.title, product.category) == ("007", "mugs")
        assert product.images.get().file.read() == picture(7)
        assert media(settings) == named()

    def test_again_all_is_known(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write_tree(tmp_path / "in", {f"{n}.jpg": picture(n) for n in range(5)})
        first = import_path(tmp_path / "in")
        monkeypatch.setattr(batch, "decode", lambda *_args, **_kwargs: pytest.fail("decoded again"))
        assert counts(import_path(tmp_path / "in", first.collection)) == ("done", 0, 5, 0)
        assert Image.objects.count() == Product.objects.count() == 5

    def test_titles_given_by_people_survive(self, tmp_path: Path) -> None:
        write_tree(tmp_path / "in", {"a.jpg": picture(1)})
        first = import_path(tmp_path / "in")
        Product.objects.update(title="By hand")
        import_path(tmp_path / "in", first.collection)
        assert Product.objects.get().title == "By hand"

    def test_an_import_that_is_silent_but_alive_is_not_run_beside_itself(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Walking through a folder of a million files takes longer than a job may be silent."""
        job = import_create(CollectionFactory(), path=write_tree(tmp_path / "a", {"1.jpg": picture(1)}))
        opened: list[JobState] = []

        def open_slowly(path: Path, **options: Any) -> Any:
            ImportJob.objects.update(heartbeat=timezone.now() - timedelta(minutes=2))
            opened.append(import_run(job.pk).state)
            return sources.open_source(path, **options)

        monkeypatch.setattr(run, "open_source", open_slowly)
        import_run(job.pk)
        assert opened == [JobState.RUNNING]
        assert counts(job) == (JobState.DONE, 1, 0, 0)

    def test_same_picture_twice_in_one_batch(self, tmp_path: Path) -> None:
        write_tree(tmp_path / "in", {"a.jpg": picture(1), "a.jpeg": picture(1), "b.jpg": picture(1)})
        job = import_path(tmp_path / "in")
        assert counts(job) == ("done", 2, 1, 0)  # once for each product; a.jpg and a.jpeg are one
        assert Image.objects.values("sha256").distinct().count() == 1

    def test_changed_file_is_a_new_picture(self, tmp_path: Path) -> None:
        write_tree(tmp_path / "in", {"a.jpg": picture(1)})
        first = import_path(tmp_path / "in")
        write_tree(tmp_path / "in", {"a.jpg": picture(2)})
        assert counts(import_path(tmp_path / "in", first.collection)) == ("done", 1, 0, 0)
        assert Product.objects.get().images.count() == 2

    def test_lost_file_is_stored_again(self, tmp_path: Path) -> None:
        write_tree(tmp_path / "in", {"a.jpg": picture(1)})
        first = import_path(tmp_path / "in")
        image = Image.objects.get()
        Path(image.file.path).unlink()
        assert counts(import_path(tmp_path / "in", first.collection)) == ("done", 0, 1, 0)
        assert image.file.read() == picture(1)

    def test_role(self, tmp_path: Path) -> None:
        write_tree(tmp_path / "in", {"a.jpg": picture(1)})
        import_path(tmp_path / "in", role="query")
        assert Image.objects.get().role == "query"

    def test_progress(self, tmp_path: Path) -> None:
        write_tree(tmp_path / "in", {f"{n}.jpg": picture(n) for n in range(70)})
        job = import_create(CollectionFactory.create(), path=tmp_path / "in")
        told: list[tuple[int, int]] = []
        import_run(job.pk, lambda done, total: told.append((done, total)))
        assert told[0] == (0, 70)
        assert told[-1] == (70, 70)
        assert (64, 70) in told


class TestBadRows:
    def test_everything_bad_is_one_line_each_and_nothing_else_is_lost(self, tmp_path: Path, settings: Any) -> None:
        settings.IMAGE_MAX_BYTES = 50_000
        bad = {
            "bomb.png": bomb(),
            "empty.jpg": b"",
            "film.mp4": b"\x00\x00\x00\x18ftypmp42" + bytes(40),
            "large.bmp": b"BM" + bytes(60_000),
            "scan.dcm": bytes(128) + b"DICM" + bytes(100),
            "text.jpg": b"I am a text, whatever my name says",
            "truncated.jpg": picture(1)[:-400],
        }
        write_tree(tmp_path / "in", {**bad, **{f"good/{n}.jpg": picture(n) for n in range(70)}})
        job = import_path(tmp_path / "in")
        assert counts(job) == ("done", 70, 0, 7)
        lines = report(job)
        assert list(lines[0]) == ["row", "source", "code", "message"]
        assert {line["source"]: line["code"] for line in lines} == {
            "bomb.png": "picture_too_large",
            "empty.jpg": "empty_picture",
            "film.mp4": "unsupported_format",
            "large.bmp": "picture_too_large",
            "(DICOM file)": "broken_dicom",  # its name may be a patient's
            "text.jpg": "unsupported_format",
            "truncated.jpg": "broken_picture",
        }
        assert "Save or download it again" in lines[-1]["message"]
        assert Product.objects.count() == 70  # a bad picture makes no product
        assert media(settings) == named()

    def test_unreadable_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write_tree(tmp_path / "in", {"a.jpg": picture(1), "b.jpg": picture(2)})
        real = Path.open

        def refuse(self: Path, *args: Any, **kwargs: Any) -> Any:
            if self.name == "a.jpg":
                raise PermissionError(13, "Permission denied")
            return real(self, *args, **kwargs)

        monkeypatch.setattr(Path, "open", refuse)
        job = import_path(tmp_path / "in")
        assert counts(job) == ("done", 1, 0, 1)
        assert report(job)[0]["code"] == "unreadable_file"

    def test_what_nobody_foresaw_is_one_bad_row(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write_tree(tmp_path / "in", {f"{n}.jpg": picture(n) for n in range(3)})
        real = batch.decode

        def decode(data: bytes, **options: Any) -> Any:
            if data == picture(1):
                raise ZeroDivisionError("surprise")
            return real(data, **options)

        monkeypatch.setattr(batch, "decode", decode)
        job = import_path(tmp_path / "in")
        assert counts(job) == ("done", 2, 0, 1)
        assert "ZeroDivisionError: surprise" in report(job)[0]["message"]

    def test_row_the_database_refuses(self, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """The batch is gone through row by row, the one bad row reported, its file removed."""
        write_tree(tmp_path / "in", {f"{n}.jpg": picture(n) for n in range(5)})
        real = batch._image

        def refuse(collection: Collection, product: Product | None, item: batch.Item) -> Image:
            row = real(collection, product, item)
            if item.row.source == "3.jpg":
                row.role = "nonsense"  # against a check of the database
            return row

        monkeypatch.setattr(batch, "_image", refuse)
        job = import_path(tmp_path / "in")
        assert counts(job) == ("done", 4, 0, 1)
        assert (report(job)[0]["source"], report(job)[0]["code"]) == ("3.jpg", "unexpected")
        assert media(settings) == named()

    def test_formulas_are_disarmed(self, tmp_path: Path) -> None:
        write_tree(tmp_path / "in", {"=cmd|calc!A1.jpg": b"text"})
        assert report(import_path(tmp_path / "in"))[0]["source"] == "'=cmd|calc!A1.jpg"

    def test_bad_rows_of_a_table(self, tmp_path: Path) -> None:
        table = "sku,image,price\nA,a.jpg,1\nB,a.jpg,cheap\nC,../x.jpg,1\nD,nope.jpg,1\n,a.jpg,1\n"
        write_tree(tmp_path / "in", {"shop.csv": table, "a.jpg": picture(1)})
        job = import_path(tmp_path / "in" / "shop.csv")
        assert counts(job) == ("done", 1, 0, 4)
        assert [(line["row"], line["code"]) for line in report(job)] == [
            ("3", "bad_value"),
            ("4", "unsafe_path"),
            ("5", "missing_file"),
            ("6", "bad_value"),
        ]

    def test_report_of_an_earlier_run_is_replaced(self, tmp_path: Path, settings: Any) -> None:
        write_tree(tmp_path / "in", {"a.jpg": b"text"})
        job = import_path(tmp_path / "in")
        ImportJob.objects.update(state=JobState.QUEUED)
        import_run(job.pk)
        assert len(list((Path(settings.MEDIA_ROOT) / "imports").iterdir())) == 1


class TestTable:
    TABLE = (
        "sku,image,title,category,brand,price,currency,stock,url,role,attr.colour,Season\n"
        "A,a1.jpg;a2.jpg,Mug,mugs,Kiln,12.50,eur,3,https://shop.example/a,,red,winter\n"
        "A,a3.jpg,,,,,,,,,,\n"
        "B,b.jpg,Lamp,lamps,,99,EUR,0,,,white,\n"
        ",q.jpg,,,,,,,,query,,\n"
    )

    def files(self) -> dict[str, bytes | str]:
        names = ["a1.jpg", "a2.jpg", "a3.jpg", "b.jpg", "q.jpg"]
        return {"products.csv": self.TABLE, **{name: picture(n) for n, name in enumerate(names)}}

    @pytest.mark.parametrize("pack", [False, True])
    def test_imported_whole(self, tmp_path: Path, pack: bool) -> None:
        path = write_zip(tmp_path / "x.zip", self.files()) if pack else write_tree(tmp_path / "in", self.files())
        job = import_path(path)
        assert counts(job) == ("done", 5, 0, 0)
        mug, lamp = Product.objects.order_by("sku")
        assert (mug.title, mug.category, mug.brand, mug.price, mug.currency, mug.stock, mug.url, mug.attributes) == (
            "Mug",
            "mugs",
            "Kiln",
            Decimal("12.50"),
            "EUR",
            3,
            "https://shop.example/a",
            {"colour": "red", "Season": "winter"},
        )
        assert mug.images.count() == 3
        assert lamp.stock == 0
        assert Image.objects.get(product=None).role == "query"

    def test_new_prices_come_with_known_pictures(self, tmp_path: Path) -> None:
        write_tree(tmp_path / "in", self.files())
        first = import_path(tmp_path / "in")
        before = Product.objects.get(sku="B").updated
        untouched = Product.objects.get(sku="A").updated
        write_tree(tmp_path / "in", {"products.csv": self.TABLE.replace(",99,", ",79,")})
        assert counts(import_path(tmp_path / "in", first.collection)) == ("done", 0, 5, 0)
        lamp = Product.objects.get(sku="B")
        assert (lamp.price, lamp.title) == (79, "Lamp")
        assert lamp.updated > before
        assert Product.objects.get(sku="A").updated == untouched


class TestRemote:
    def test_urls_are_fetched_once(self, tmp_path: Path, settings: Any) -> None:
        settings.FETCH_ALLOW_PRIVATE = True
        asked: Counter[str] = Counter()

        def serve(data: bytes) -> Callable[[Any], None]:
            def answer(handler: Any) -> None:
                asked[handler.path] += 1
                body(data)(handler)

            return answer

        answers = {"/1.jpg": serve(picture(1)), "/page.jpg": serve(b"<html>gone</html>")}
        with web_server(answers) as root:
            (tmp_path / "list.txt").write_text(f"{root}/1.jpg\n{root}/missing.jpg\n{root}/page.jpg\n")
            job = import_path(tmp_path / "list.txt")
            assert counts(job) == ("done", 1, 0, 2)
            assert {line["code"] for line in report(job)} == {"fetch_failed", "unsupported_format"}
            again = import_path(tmp_path / "list.txt", job.collection)
            assert counts(again) == ("done", 0, 1, 2)
        assert asked["/1.jpg"] == 1
        image = Image.objects.get()
        assert image.source == image.product.sku == f"{root}/1.jpg"

    def test_private_addresses_are_one_clear_error_each(self, tmp_path: Path) -> None:
        write_tree(tmp_path / "in", {"shop.csv": "sku,image\nA,http://127.0.0.1/a.jpg\nB,b.jpg\n", "b.jpg": picture(1)})
        job = import_path(tmp_path / "in" / "shop.csv")
        assert counts(job) == ("done", 1, 0, 1)
        assert report(job)[0]["code"] == "blocked_address"


class TestLayout:
    def test_imported_whole(self, tmp_path: Path) -> None:
        job = import_path(write_tree(tmp_path / "guide", layout_files()))
        assert counts(job) == ("done", 5, 0, 0)
        benchmark = Benchmark.objects.get()
        assert (benchmark.name, benchmark.relevance, benchmark.collection) == ("guide", "labels", job.collection)
        labels = {
            (label.query.name, label.image.source, label.grade)
            for label in Label.objects.select_related("query", "image")
        }
        assert labels == {
            ("mug.jpg", "database/mugs/red.jpg", "easy"),
            ("mug.jpg", "database/mugs/blue.jpg", "hard"),
            ("lamp.jpg", "database/lamp.jpg", "easy"),
            ("lamp.jpg", "database/mugs/red.jpg", "distractor"),
        }
        assert {query.image.role for query in Query.objects.select_related("image")} == {"query"}
        assert {product.sku: product.category for product in Product.objects.all()} == {
            "mugs/red": "mugs",
            "mugs/blue": "mugs",
            "lamp": "",
        }

    def test_again_changes_nothing(self, tmp_path: Path) -> None:
        path = write_zip(tmp_path / "x.zip", layout_files())
        first = import_path(path)
        version = Benchmark.objects.get().version
        again = import_path(path, first.collection)
        assert counts(again) == ("done", 0, 5, 0)
        assert Label.objects.count() == 4
        assert Query.objects.count() == 2
        assert Benchmark.objects.get().version == version

    @pytest.mark.parametrize("place", ["products.csv", "database/products.csv"])
    def test_with_products(self, tmp_path: Path, place: str) -> None:
        table = "sku,image,title,price\nMUG,mugs/red.jpg;mugs/blue.jpg,Mug,5\n"
        job = import_path(write_tree(tmp_path / "guide", {**layout_files(), place: table}))
        assert counts(job) == ("done", 5, 0, 0)
        assert Product.objects.get(sku="MUG").images.count() == 2
        assert set(Product.objects.values_list("sku", flat=True)) == {"MUG", "lamp"}  # what the table leaves out
        assert Label.objects.count() == 4

    def test_bad_labels(self, tmp_path: Path) -> None:
        truth = (
            "query,image,grade\nmug.jpg,mugs/red.jpg,easy\nmug.jpg,nope.jpg,easy\nnope.jpg,lamp.jpg,easy\n"
            "mug.jpg,lamp.jpg,superb\n\nlamp.jpg,lamp.jpg,Hard\n"
        )
        job = import_path(write_tree(tmp_path / "guide", {**layout_files(), "ground_truth.csv": truth}))
        assert counts(job) == ("done", 5, 0, 3)
        assert [(line["row"], line["code"]) for line in report(job)] == [
            ("3", "unknown_picture"),
            ("4", "unknown_query"),
            ("5", "bad_value"),
        ]
        assert set(Label.objects.values_list("grade", flat=True)) == {"easy", "hard"}

    def test_pictures_known_under_another_name_are_labelled_all_the_same(self, tmp_path: Path) -> None:
        first = import_path(write_tree(tmp_path / "flat", {"mugs/red.jpg": picture(1)}))
        import_path(write_tree(tmp_path / "guide", layout_files()), first.collection)
        assert Label.objects.filter(image__source="mugs/red.jpg").count() == 2


class TestJob:
    def test_a_job_is_run_once(self, tmp_path: Path) -> None:
        write_tree(tmp_path / "in", {"a.jpg": picture(1)})
        job = import_path(tmp_path / "in")
        Image.objects.all().delete()
        assert import_run(job.pk).added == 1
        assert not Image.objects.exists()

    def test_cancel(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("catalog.jobs.HEARTBEAT_S", 0)
        write_tree(tmp_path / "in", {f"{n:03}.jpg": picture(n) for n in range(200)})
        job = import_create(CollectionFactory.create(), path=tmp_path / "in")

        def stop(done: int, total: int) -> None:
            if done == 64:
                ImportJob.objects.get(pk=job.pk).cancel()

        import_run(job.pk, stop)
        state, added, _, _ = counts(job)
        assert state == "cancelled"
        assert 64 <= added < 200
        assert Image.objects.count() == added
        again = import_path(tmp_path / "in", job.collection)
        assert counts(again) == ("done", 200 - added, added, 0)

    def test_database_failure_fails_the_job_and_leaves_no_files(
        self, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_tree(tmp_path / "in", {"a.jpg": picture(1)})
        job = import_create(CollectionFactory.create(), path=tmp_path / "in")

        def fail(*args: Any) -> None:
            raise OperationalError("database is gone")

        monkeypatch.setattr(run, "write", fail)
        with pytest.raises(DatabaseError):
            import_run(job.pk)
        job.refresh_from_db()
        assert (job.state, job.error) == ("failed", "OperationalError: database is gone")
        assert media(settings) == set()

    def test_full_disk_fails_the_job(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write_tree(tmp_path / "in", {"a.jpg": picture(1)})
        job = import_create(CollectionFactory.create(), path=tmp_path / "in")

        def fail(*args: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(batch, "picture_store", fail)
        with pytest.raises(OSError, match="No space"):
            import_run(job.pk)
        assert counts(job)[:2] == ("failed", 0)

    def test_source_that_vanished(self, tmp_path: Path) -> None:
        job = ImportJobFactory.create(path=str(tmp_path / "gone"))
        import_run(job.pk)
        job.refresh_from_db()
        assert job.state == "failed"
        assert "There is no file or folder" in job.error

    def test_killed_worker_is_followed_by_another(self, tmp_path: Path) -> None:
        write_tree(tmp_path / "in", {f"{n}.jpg": picture(n) for n in range(3)})
        job = import_create(CollectionFactory.create(), path=tmp_path / "in")
        ImportJob.objects.update(state=JobState.RUNNING, heartbeat=timezone.now())
        assert import_run(job.pk).state == "running"  # somebody works on it
        assert not Image.objects.exists()
        ImportJob.objects.update(heartbeat=timezone.now() - timedelta(minutes=5))
        assert counts(import_run(job.pk)) == ("done", 3, 0, 0)


class TestCreate:
    @pytest.mark.parametrize(
        ("name", "data", "error"),
        [
            ("empty.zip", b"PK\x05\x06" + bytes(18), ImportRefused),
            ("broken.zip", b"no zip", BadArchive),
            ("shop.csv", b"id,name\n1,2\n", MissingColumns),
            ("shop.csv", b"", ImportRefused),
            ("list.txt", b"", ImportRefused),
            ("shop.xlsx", b"PK", ImportRefused),
            ("nosuffix", b"x", ImportRefused),
        ],
    )
    def test_bad_upload_leaves_nothing(self, settings: Any, name: str, data: bytes, error: type[ImportRefused]) -> None:
        with pytest.raises(error):
            import_create(CollectionFactory.create(), upload=SimpleUploadedFile(name, data))
        assert not ImportJob.objects.exists()
        assert [path for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file()] == []

    def test_upload_too_large(self, settings: Any) -> None:
        settings.ARCHIVE_MAX_BYTES = 3
        with pytest.raises(UploadTooLarge):
            import_create(CollectionFactory.create(), upload=SimpleUploadedFile("a.csv", b"sku,image\n"))

    def test_upload_is_imported(self, tmp_path: Path) -> None:
        packed = write_zip(tmp_path / "x.zip", {"a.jpg": picture(1), "b/c.jpg": picture(2)}).read_bytes()
        job = import_create(CollectionFactory.create(), upload=SimpleUploadedFile("my shop.zip", packed))
        assert job.state == "queued"
        assert counts(import_run(job.pk)) == ("done", 2, 0, 0)

    def test_upload_in_a_storage_without_paths(self, tmp_path: Path, settings: Any) -> None:
        settings.STORAGES = remote(settings.STORAGES)
        packed = write_zip(tmp_path / "x.zip", {"a.jpg": picture(1), "b.jpg": b"text"}).read_bytes()
        job = import_create(CollectionFactory.create(), upload=SimpleUploadedFile("shop.zip", packed))
        assert counts(import_run(job.pk)) == ("done", 1, 0, 1)
        assert Image.objects.get().file.read() == picture(1)
        job.refresh_from_db()
        assert report(job)[0]["source"] == "b.jpg"

    def test_uploaded_table_cannot_read_the_servers_files(self, settings: Any) -> None:
        """Not even its neighbours in the folder of uploads."""
        write_tree(Path(settings.MEDIA_ROOT) / "imports", {"other.jpg": picture(1)})
        table = SimpleUploadedFile("shop.csv", b"sku,image\nA,other.jpg\nB,/etc/passwd\nC,../../db.sqlite3\n")
        job = import_create(CollectionFactory.create(), upload=table)
        assert counts(import_run(job.pk)) == ("done", 0, 0, 3)
        assert not Image.objects.exists()

    def test_name_of_the_upload_leads_nowhere(self, settings: Any) -> None:
        upload = SimpleUploadedFile("x.csv", b"sku,image\nA,https://x.example/a.jpg\n")
        upload._name = "../../evil.csv"
        job = import_create(CollectionFactory.create(), upload=upload)
        assert Path(job.upload.path).is_relative_to(Path(settings.MEDIA_ROOT) / "imports")

    @pytest.mark.parametrize("path", ["", "no/such/folder"])
    def test_no_path(self, path: str) -> None:
        with pytest.raises(PathMissing):
            import_create(CollectionFactory.create(), path=path)


RESUME = "import django, sys; django.setup(); from catalog.services import import_run; import_run(int(sys.argv[1]))"


class Site:
    """A site of its own in a folder, worked by real processes on a database file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "db.sqlite3"
        own = {"DATABASE_URL": f"sqlite:///{self.database}", "DATA_DIR": str(folder), "OMP_NUM_THREADS": "1"}
        shared = {name: value for name, value in os.environ.items() if name not in ("MEDIA_ROOT", "REDIS_URL")}
        self.environment = {**shared, **own, "DJANGO_SETTINGS_MODULE": "retrieval_site.settings"}

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, *command], cwd=ROOT, env=self.environment)

    def run(self, *command: str) -> None:
        assert self.start(*command).wait(timeout=120) == 0

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.database, timeout=30)) as connection:
            rows = connection.execute(query).fetchall()
            connection.commit()
        return rows

    def files(self) -> dict[str, int]:
        root = self.folder / "media"
        return {str(path.relative_to(root)): path.stat().st_size for path in root.rglob("*") if path.is_file()}


def test_two_imports_of_the_same_folder_at_once(tmp_path: Path) -> None:
    write_tree(tmp_path / "first", {"x.jpg": picture(1000)})
    write_tree(tmp_path / "in", {f"{n:03}.jpg": picture(n) for n in range(300)})
    site = Site(tmp_path / "site")
    site.folder.mkdir()
    site.run("manage.py", "migrate", "-v0")
    site.run("manage.py", "import_catalog", str(tmp_path / "first"), "--collection", "shared")
    command = ("manage.py", "import_catalog", str(tmp_path / "in"), "--collection", "shared")
    assert [process.wait(timeout=120) for process in [site.start(*command), site.start(*command)]] == [0, 0]
    assert site.ask("SELECT count(*), count(DISTINCT sha256) FROM catalog_image") == [(301, 301)]
    assert site.ask("SELECT sum(added), sum(known), sum(bad) FROM catalog_importjob WHERE id > 1") == [(300, 300, 0)]


def test_kill_9_in_the_middle_and_resume(tmp_path: Path) -> None:
    """A real process is killed while it imports; the same job, run again, ends with every picture exactly once."""
    total = 600
    write_tree(tmp_path / "in", {f"{n % 7}/{n:04}.jpg": picture(n, (320, 240)) for n in range(total)})
    site = Site(tmp_path / "site")
    site.folder.mkdir()
    site.run("manage.py", "migrate", "-v0")

    command = site.start("manage.py", "import_catalog", str(tmp_path / "in"), "--collection", "killed")
    deadline = time.monotonic() + 100
    while site.ask("SELECT count(*) FROM catalog_image") < [(64,)] and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(command.pid, signal.SIGKILL)
    command.wait()

    (survived,) = site.ask("SELECT count(*) FROM catalog_image")[0]
    assert 64 <= survived < total
    assert site.ask("SELECT state, added FROM catalog_importjob") == [("running", survived)]
    files = site.files()
    for name, size, thumbnail in site.ask("SELECT file, size, thumbnail FROM catalog_image"):
        assert files[name] == size  # nothing half-written
        assert files[thumbnail] > 0

    site.ask("UPDATE catalog_importjob SET heartbeat = datetime('now', '-5 minutes')")
    site.run("-c", RESUME, "1")
    assert site.ask("SELECT state, added, known, bad FROM catalog_importjob") == [("done", total, 0, 0)]
    assert site.ask("SELECT count(*), count(DISTINCT sha256) FROM catalog_image") == [(total, total)]
    assert site.ask("SELECT count(*), count(DISTINCT sku) FROM catalog_product") == [(total, total)]


def test_a_query_picture_that_was_exchanged_is_the_querys_from_then_on(tmp_path: Path) -> None:
    root, collection = write_tree(tmp_path / "set", layout_files()), CollectionFactory()
    import_path(root, collection)
    query = Query.objects.order_by("id").first()
    old, version = query.image_id, query.benchmark.version
    (root / "query" / query.name).write_bytes(picture(77))
    import_path(root, collection)
    query = Query.objects.get(pk=query.pk)
    assert query.image_id > old
    assert query.benchmark.version > version
    import_path(root, collection)
    assert Query.objects.get(pk=query.pk).benchmark.version == query.benchmark.version


@pytest.mark.postgres
def test_products_are_locked_while_an_import_changes_them() -> None:
    """Fields of a batch are written together: what someone else changed meanwhile would be undone."""
    product = ProductFactory()
    with CaptureQueriesContext(connection) as asked:
        batch.products_upsert(product.collection, [Row(1, "", bytes, product.sku, {"title": "x"})])
    assert "FOR UPDATE" in asked[0]["sql"]
