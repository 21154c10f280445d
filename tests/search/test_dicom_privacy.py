"""Nothing of a patient stays anywhere: every DICOM file comes in by every door, then everything is searched.

What is looked for is every value of every tag that is not on the allow-list, of every file that pydicom carries and of
one made to be unmistakable, and the files' names.
"""

from __future__ import annotations

import io
import logging
import pickle
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.urls import reverse
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID_dictionary

from catalog.dicom.reading import quiet
from catalog.dicom.stored import ALLOWED
from catalog.dicom.vocabulary import explanation
from catalog.models import Collection, DicomFrame, Image, ImportJob
from catalog.services import import_create, import_run
from search.builds import index_for
from search.embedding import embed_pending
from search.models import Scope, UploadedQuery
from tests import factories
from tests.catalog.dicom_files import carried, data_of, dataset, item, items, ramp, written

pytestmark = pytest.mark.django_db

NAME = "Featherstone^Wilhelmina geb. 1923-04-05"
ODD = f"{NAME} \N{SNOWMAN} (MRN-48151623).dcm"
SHORTEST = 6  # characters of what is looked for: shorter ones are found everywhere
WORDS = 8  # of what is only figures, or one common word
TINY = "test_files/dicomdirtests/TINY_ALPHA/PT000000"


def unmistakable() -> bytes:
    """A picture with something to find in every kind of value, in sequences, private tags, padding and preamble."""
    ds = dataset(ramp(), PatientName=NAME, PatientID="MRN-48151623", IssuerOfPatientID="St. Mungo-4711")
    texts = {
        "AE": "AETITLE-FTHR",
        "AS": "099Y",
        "CS": "FEATHERSTONE_CS",
        "DA": "19230405",
        "DT": "19230405101112.131415",
    }
    texts |= {
        "LO": "Feather-LO-1923",
        "LT": "Feather-LT-1923 long text",
        "PN": "Feather-PN^Wilhelmina",
        "SH": "Feather-SH-19",
    }
    texts |= {"ST": "Feather-ST-1923", "TM": "101112.131415", "UC": "Feather-UC-1923", "UI": "1.2.3.4815162342.1923"}
    texts |= {"UR": "https://feather.example/1923", "UT": "Feather-UT-1923", "DS": "48151623.42", "IS": "481516234"}
    block = ds.private_block(0x0029, "FEATHERSTONE PRIVATE", create=True)
    for element, (vr, value) in enumerate(texts.items()):
        block.add_new(element, vr, value)
    for element, vr in enumerate(("OB", "UN"), start=0x40):
        block.add_new(element, vr, b"Feather-bytes-1923-" + vr.encode() + b"\0")
    block.add_new(0x50, "SQ", items(item(PatientName="Feather-Deep^Private", InstitutionName="Feather-Hospital")))
    ds.AccessionNumber, ds.InstitutionName, ds.DeviceSerialNumber = "ACC-481516", "Mungo's Infirmary", "SN-23420815"
    ds.ReferringPhysicianName, ds.PatientBirthDate, ds.StudyDate = "Strange^Hieronymus", "19230405", "20231224"
    ds.PatientComments, ds.ImageComments = "lives at 12 Grimmauld Place", "Comment-of-Featherstone"
    deep = item(PatientID="MRN-DEEP-4815", OtherPatientIDsSequence=items(item(PatientID="MRN-DEEPER-16")))
    ds.RequestAttributesSequence = items(
        item(RequestedProcedureDescription="Feather-Request", ScheduledProtocolCodeSequence=items(deep))
    )
    # Free text in what is kept: no word of it is of the vocabulary.
    ds.Modality, ds.BodyPartExamined, ds.RescaleType = "FEATHERMOD", "FEATHERPART", "FEATHERTYPE"
    ds.WindowCenter, ds.WindowWidth, ds.WindowCenterWidthExplanation = (
        [40, 50],
        [400, 500],
        ["FEATHERWINDOW", "Feather lung"],
    )
    table = item(LUTDescriptor=[4, 0, 8], LUTData=np.arange(4, dtype="<u2").tobytes(), LUTExplanation="FEATHERLUT")
    ds.VOILUTSequence = items(table)
    ds.add_new(0x60000010, "US", 4)
    ds.add_new(0x60000022, "LO", "FEATHEROVERLAY")
    ds.add_new(0x60003000, "OW", b"Feather-overlay!")
    ds.add_new(0xFFFCFFFC, "OB", b"Feather-trailing-padding")
    data = bytearray(written(ds))
    data[:32] = b"Feather-preamble-Wilhelmina-1923"
    return bytes(data) + b"Feather-after-the-end-1923"


EXTRA = {"Feather", "FEATHER", "Wilhelmina", "MRN-48151623", "Hieronymus", "Grimmauld", "48151623", "Mungo"}


# On the allow-list, but with a value of the site's own: what a file had there must not be found.
REMADE = {"PatientName", "PatientID", "WindowCenterWidthExplanation", "DeidentificationMethod", "Modality"}
REMADE |= {"SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "BodyPartExamined"}


def elements(ds: Dataset) -> Iterator[DataElement]:
    """All of them, of sequences too; what cannot be read is passed over."""
    for tag in list(ds.keys()):
        try:
            found = ds[tag]
        except Exception:
            continue
        if found.VR == "SQ":
            for inner in found.value or ():
                yield from elements(inner)
        else:
            yield found


def needles(data: bytes) -> set[bytes]:
    """What must not be found again of a file."""
    ds = pydicom.dcmread(io.BytesIO(data), force=True)
    found: set[bytes] = set()
    for element in [*elements(ds), *elements(getattr(ds, "file_meta", Dataset()))]:
        if element.keyword in ALLOWED - REMADE:
            continue
        value = element.value
        for one in value if isinstance(value, pydicom.multival.MultiValue | list) else [value]:
            text = one if isinstance(one, bytes) else str(one).encode()
            found |= {text.strip(b"\0 "), *(text.split(b"^") if element.VR == "PN" else ())}
    return {one for one in found if telling(one)}


def telling(text: bytes) -> bool:
    """Whether to find it is no accident."""
    word = text.decode("latin-1")
    if word in UID_dictionary or word == "DICOMDIR" or explanation(word) or len(set(text)) < 4:  # words of our own
        return False
    is_plain = re.fullmatch(rb"[\d.+eE-]+|[A-Za-z]+", text) is not None
    return len(text) >= (WORDS if is_plain else SHORTEST)


class Haystack:
    """Everything that could keep or tell something: places and their bytes."""

    def __init__(self) -> None:
        self.parts: list[tuple[str, bytes]] = []

    def add(self, place: str, data: bytes) -> None:
        self.parts.append((place, data))

    def answer(self, place: str, response: Any) -> Any:
        body = b"".join(response.streaming_content) if response.streaming else response.content
        self.add(place, repr(response.headers).encode() + body)
        return response

    def database(self) -> None:
        with connection.cursor() as cursor:
            for table in connection.introspection.table_names(cursor):
                cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
                for row in cursor.fetchall():
                    cells = (
                        bytes(cell) if isinstance(cell, bytes | memoryview) else str(cell).encode() for cell in row
                    )
                    self.add(f"table {table}", b"\n".join(cells))

    def folder(self, root: Path) -> None:
        for path in root.rglob("*"):
            self.add("file name", str(path.relative_to(root)).encode())
            if path.is_file():
                self.add(f"file {path.relative_to(root)}", path.read_bytes())

    def found(self, wanted: set[bytes]) -> set[tuple[bytes, str]]:
        """(what, where). Wherever six bytes are those that a needle begins with, the rest is compared."""
        heads: dict[int, list[bytes]] = {}
        for one in wanted:
            heads.setdefault(int.from_bytes(one[:SHORTEST], "little"), []).append(one)
        table = np.array(sorted(heads), np.uint64)
        return {
            (one, place)
            for place, data in dict.fromkeys(self.parts)  # a page and a picture are met more than once
            for at, head in _begins(data, table)
            for one in heads[head]
            if data.startswith(one, at)
        }


def _begins(data: bytes, table: np.ndarray) -> Iterator[tuple[int, int]]:
    """(place, head) wherever one of the sorted heads lies in the data."""
    raw = np.frombuffer(data, np.uint8).astype(np.uint64)
    last = len(raw) - SHORTEST + 1
    if last < 1:
        return
    windows = sum(raw[place : last + place] << np.uint64(8 * place) for place in range(SHORTEST))
    nearest = np.minimum(np.searchsorted(table, windows), len(table) - 1)
    for at in np.flatnonzero(table[nearest] == windows):
        yield int(at), int(windows[at])


@pytest.fixture
def key(db: None) -> str:
    row = factories.ApiKeyFactory(scope=Scope.WRITE, all_collections=True, rate="100000/min")
    return str(row.clear)


def by_folder(root: Path, collection: Collection, files: dict[str, bytes]) -> ImportJob:
    for name, data in files.items():
        path = root / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return import_run(import_create(collection, path=root / "in", frames="first").pk)


def by_api(collection: Collection, files: dict[str, bytes], key: str, hay: Haystack) -> None:
    client, sent = Client(), {"Authorization": f"Bearer {key}"}
    for name, data in files.items():
        body = {"image": SimpleUploadedFile(Path(name).name, data)}
        where = f"/api/v1/collections/{collection.slug}/images/"
        hay.answer("API upload", client.post(where, body, headers=sent))
    for name in ("test_files/CT_small.dcm", ODD):
        body = {"image": SimpleUploadedFile(Path(name).name, files[name]), "collection": collection.slug}
        assert hay.answer("API search", client.post("/api/v1/search/", body, headers=sent)).status_code == 200
    hay.answer("API list", client.get(f"/api/v1/collections/{collection.slug}/images/?page_size=200", headers=sent))


def by_web(collection: Collection, files: dict[str, bytes], hay: Haystack) -> None:
    client = Client()
    for name, data in files.items():
        body = {"file": SimpleUploadedFile(Path(name).name, data)}
        hay.answer("web upload", client.post(reverse("web:query", args=[collection.slug]), body))
    both = [SimpleUploadedFile(Path(name).name, data) for name, data in [*files.items()][:1]]
    both.append(SimpleUploadedFile(ODD.removesuffix(".dcm"), unmistakable()[:600]))
    hay.answer("web upload", client.post(reverse("web:query", args=[collection.slug]), {"file": both}))
    for query in UploadedQuery.objects.filter(file__endswith=".dcm")[:3]:
        hay.answer("results", client.get(f"{reverse('web:search', args=[collection.slug])}?query={query.pk}"))
        hay.answer("view", client.get(reverse("web:query_view", args=[query.pk])))
        hay.answer("preview", client.get(reverse("web:preview", args=[query.pk])))


def pages(collection: Collection, job: ImportJob, hay: Haystack) -> None:
    client = Client()
    client.force_login(factories.StaffFactory())
    frame = DicomFrame.objects.select_related("series__study").first()
    assert frame is not None
    hay.answer("page", client.get(reverse("web:collection", args=[collection.slug])))
    hay.answer("page", client.get(reverse("web:image", args=[collection.slug, frame.image_id])))
    hay.answer("page", client.get(reverse("web:image_view", args=[frame.image_id])))
    for model in ("importjob", "image", "product", "dicomstudy", "dicomseries", "dicomframe"):
        answer = hay.answer("admin", client.get(reverse(f"admin:catalog_{model}_changelist")))
        assert answer.status_code == 200, model
    for model, pk in (("importjob", job.pk), ("image", frame.image_id), ("dicomstudy", frame.series.study_id)):
        hay.answer("admin", client.get(reverse(f"admin:catalog_{model}_change", args=[pk])))
    hay.answer("report", client.get(reverse("admin:catalog_importjob_report", args=[job.pk])))


def test_nothing_of_a_patient_is_kept_or_told(
    tmp_path: Path,
    settings: Any,
    key: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    django_capture_on_commit_callbacks: Any,
) -> None:
    caplog.set_level(logging.DEBUG)
    files = {**{name: data_of(name) for name in carried()}, ODD: unmistakable(), f"dir/{NAME}": unmistakable()}
    wanted = set(EXTRA_BYTES).union(*(needles(data) for data in files.values()))
    wanted |= {name for path in files if telling(name := Path(path).stem.encode())}
    assert len(wanted) > 1400
    hay, collection = Haystack(), factories.CollectionFactory.create(slug="scans", is_public=True)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        quiet()
        job = by_folder(tmp_path, collection, files)
        embed_pending(collection, index_for(collection).feature_model)
        some = {name: data for name, data in files.items() if not name.startswith(TINY) or name.endswith("IM000000")}
        by_api(collection, some, key, hay)
        by_web(collection, some, hay)
        pages(collection, job, hay)
    assert job.state == "done", job.error
    assert job.added > 70
    assert job.bad == 89
    assert Image.objects.filter(format="DICOM").count() == DicomFrame.objects.count() > 70
    hay.database()
    hay.folder(Path(settings.MEDIA_ROOT))
    hay.add("cache", pickle.dumps(getattr(cache, "_cache", {})))
    out, err = capfd.readouterr()
    hay.add("log", f"{caplog.text} {out} {err} {[str(one.message) for one in warned]}".encode())
    assert len(hay.parts) > 500
    found = hay.found(wanted)
    assert not found, sorted(found)


EXTRA_BYTES = {one.encode() for one in EXTRA}


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    """A grep that finds nothing proves nothing before it has found something."""
    found = needles(unmistakable())
    for one in (b"Feather-UT-1923", b"MRN-DEEPER-16", b"Feather-Deep", b"Feather-bytes-1923-UN", b"101112.131415"):
        assert one in found
    for one in (b"FEATHEROVERLAY", b"Feather-overlay!", b"Feather-trailing-padding", b"FEATHERLUT"):
        assert one in found
    (tmp_path / "a.dcm").write_bytes(unmistakable())
    hay = Haystack()
    hay.folder(tmp_path)
    assert {what for what, _ in hay.found(found)} >= {b"Feather-UT-1923", b"MRN-DEEPER-16"}


def test_a_stored_file_holds_the_tags_of_the_allow_list_and_no_other(tmp_path: Path, settings: Any) -> None:
    collection = factories.CollectionFactory.create()
    by_folder(tmp_path, collection, {**{name: data_of(name) for name in carried()}, ODD: unmistakable()})
    stored = list((Path(settings.MEDIA_ROOT) / "images").rglob("*.dcm"))
    assert len(stored) > 70
    for path in stored:
        ds = pydicom.dcmread(path)
        assert path.read_bytes()[:128] == b"\0" * 128
        for element in elements(ds):
            assert element.keyword in ALLOWED or element.tag.group == 0x0009, element.keyword
        assert {element.tag for element in elements(ds) if element.tag.is_private} <= set(OWN_TAGS)
        assert set(ds.file_meta.dir()) <= FILE_META


OWN_TAGS = {pydicom.tag.Tag(0x0009, element) for element in (0x0010, 0x1001, 0x1002, 0x1003, 0x1004, 0x1005)}
FILE_META = {
    "FileMetaInformationGroupLength",
    "FileMetaInformationVersion",
    "MediaStorageSOPClassUID",
    "MediaStorageSOPInstanceUID",
    "TransferSyntaxUID",
    "ImplementationClassUID",
    "ImplementationVersionName",
}
