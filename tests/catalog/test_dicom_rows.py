"""DICOM in the catalog: a picture a frame, studies and series as pseudonyms, names kept nowhere, splits by patient."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from catalog.dicom import errors
from catalog.dicom.identity import Identity, key_of_uid, uid_of_key
from catalog.dicom.reading import dicom_open
from catalog.dicom.stored import Copy, dicom_copy
from catalog.dicom.windows import window_choice
from catalog.images import Limits, decode
from catalog.importers.errors import ArchiveOfDicom
from catalog.medicine import HIDDEN, NotDicom, take_in
from catalog.models import Benchmark, Collection, DicomFrame, DicomSeries, DicomStudy, Image, ImportJob, Product
from catalog.patients import patients_of, split_by_patient
from catalog.services import image_add, image_delete, import_create, import_run
from tests import factories
from tests.catalog.dicom_files import carried, data_of, item, items, made, ramp
from tests.catalog.helpers import layout_files, write_tree

SECRET = Identity(b"secret")
HU = {"RescaleSlope": 1, "RescaleIntercept": -1024}


def copy(data: bytes, numbers: list[int] | None = None, window: str = "", by: Identity = SECRET) -> Copy:
    return dicom_copy(dicom_open(data, Limits()), numbers or [1], by, window_choice(window))


def of(patient: str, study: str, series: str, seed: int = 0, **tags: Any) -> bytes:
    """A slice of a patient's series."""
    uids = {"StudyInstanceUID": f"1.2.{study}", "SeriesInstanceUID": f"1.2.{study}.{series}"}
    values = np.random.default_rng(seed).integers(0, 2000, (24, 24)).astype("<u2")
    return made(values, PatientID=patient, **{**HU, **uids, **tags})


class TestCopies:
    @pytest.mark.parametrize("name", [name for name in carried() if "charset" in name or name.count("/") == 1])
    def test_a_copy_shows_what_the_file_shows_and_is_its_own_copy(self, name: str) -> None:
        data = data_of(name)
        try:
            shown = decode(data)
        except errors.PictureError:
            return  # test_dicom_files.py says which
        made_of = copy(data)
        again = copy(made_of.data, by=SECRET)
        assert decode(made_of.data).pixels.tobytes() == shown.pixels.tobytes()
        assert again.data == made_of.data
        assert again.header.keys == made_of.header.keys

    def test_keys_agree_and_do_not_tell(self) -> None:
        one, other = copy(of("MRN-1", "1", "1", 1)).header.keys, copy(of("MRN-1", "1", "2", 2)).header.keys
        assert (one.patient, one.study) == (other.patient, other.study)
        assert one.series != other.series
        assert one.instance != other.instance
        elsewhere = copy(of("MRN-1", "1", "1", 1), by=Identity(b"other")).header.keys
        assert not {elsewhere.patient, elsewhere.study} & {one.patient, one.study}
        assert key_of_uid(uid_of_key(one.study)) == one.study
        assert len(uid_of_key("f" * 32)) <= 64

    def test_the_same_number_elsewhere_is_another_patient(self) -> None:
        here, there = (copy(of("1", "1", "1", IssuerOfPatientID=issuer)).header.keys for issuer in ("A", "B"))
        assert here.patient != there.patient

    def test_without_a_number_a_study_is_its_own_patient(self) -> None:
        keys = [copy(of("", study, series)).header.keys for study, series in (("1", "1"), ("1", "2"), ("2", "1"))]
        assert keys[0].patient == keys[1].patient != keys[2].patient

    def test_a_forged_copy_gets_new_keys(self) -> None:
        """Only what this site sealed keeps its keys: else anybody could join any patient."""
        mine = copy(of("MRN-1", "1", "1"))
        forged = mine.data.replace(mine.header.keys.patient.encode(), b"0" * 32)
        assert copy(forged).header.keys.patient not in ("0" * 32, mine.header.keys.patient)

    def test_the_chosen_window_is_first(self) -> None:
        made_of = copy(of("1", "1", "1", WindowCenter=40, WindowWidth=400), window="lung")
        assert str(made_of.header.window) == "-600/1500"
        assert copy(made_of.data, window="stored:2").header.window != made_of.header.window
        assert decode(made_of.data).pixels.tobytes() != decode(of("1", "1", "1")).pixels.tobytes()

    def test_frames_keep_their_numbers_and_their_own_windows(self) -> None:
        values = np.stack([np.full((4, 4), 100 * frame, "<u2") for frame in range(1, 6)])
        own = [item(FrameVOILUTSequence=items(item(WindowCenter=100 * f, WindowWidth=50))) for f in range(1, 6)]
        data = made(values, PerFrameFunctionalGroupsSequence=items(*own))
        some = copy(data, [2, 4])
        assert (some.header.numbers, some.header.frames) == ((2, 4), 5)
        last = copy(some.data, [2])
        assert (last.header.numbers, str(last.header.window)) == ((4,), "400/50")
        assert decode(last.data).pixels.tobytes() == decode(copy(data, [4]).data).pixels.tobytes()

    def test_overlays_in_unused_bits_are_gone(self) -> None:
        plain = ramp("<u2", 0, 10)
        data = made(plain | 0x8000, BitsStored=12, HighBit=11, Modality="MR", WindowCenter=1000, WindowWidth=2000)
        ds = dicom_open(copy(data).data, Limits()).ds
        assert ds.PixelData == plain.tobytes()


@pytest.fixture
def scans(db: None) -> Collection:
    return factories.CollectionFactory.create(slug="scans")


def imported(root: Path, collection: Collection, files: dict[str, bytes], **options: Any) -> ImportJob:
    return import_run(import_create(collection, path=write_tree(root, files), **options).pk)


def report(job: ImportJob) -> list[dict[str, str]]:
    with job.report.open("rb") as file:
        return list(csv.DictReader(io.StringIO(file.read().decode("utf-8-sig"))))


class TestImport:
    def test_a_folder(self, tmp_path: Path, scans: Collection) -> None:
        files = {"DOE/1": of("A", "1", "1", 1), "DOE/2.dcm": of("A", "1", "1", 2), "ROE/1": of("B", "2", "1", 3)}
        job = imported(tmp_path / "in", scans, files)
        assert (job.state, job.added, job.bad) == ("done", 3, 0)
        assert set(Image.objects.values_list("source", "format")) == {("", "DICOM")}
        assert DicomStudy.objects.count() == len(set(DicomStudy.objects.values_list("patient"))) == 2
        assert Product.objects.count() == DicomSeries.objects.count() == 2  # a series is a product
        assert set(Product.objects.values_list("title", "category")) == {("CT", "CT")}
        assert not Product.objects.filter(sku__contains="DOE").exists()

    def test_again_it_is_known_without_being_decoded(
        self, tmp_path: Path, scans: Collection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files = {"1.dcm": of("A", "1", "1", 1)}
        imported(tmp_path / "in", scans, files)
        monkeypatch.setattr("catalog.dicom.stored.frame_read", None)
        job = imported(tmp_path / "in", scans, files)
        assert (job.added, job.known, job.bad) == (0, 1, 0)

    def test_frames_become_pictures(self, tmp_path: Path, scans: Collection) -> None:
        values = np.stack([ramp("<u2", 10 * frame, 3) for frame in range(7)])
        files = {"a.dcm": made(values, Modality="MR"), "b.png": factories.picture(1, format="PNG")}
        job = imported(tmp_path / "in", scans, files, frames="every:3")
        assert (job.added, job.total) == (4, 4)
        frames = DicomFrame.objects.order_by("number")
        assert list(frames.values_list("number", "frames")) == [(1, 7), (4, 7), (7, 7)]
        assert {frame.window_source for frame in frames} == {"derived"}
        assert len({frame.image.sha256 for frame in frames}) == 3
        assert Image.objects.get(format="PNG").source == "b.png"

    def test_a_preset_where_it_fits(self, tmp_path: Path, scans: Collection) -> None:
        files = {"ct.dcm": of("A", "1", "1"), "mr.dcm": of("A", "2", "1", Modality="MR", WindowCenter=9, WindowWidth=8)}
        job = imported(tmp_path / "in", scans, files, window="Lung")
        assert job.window == "lung"
        found = dict(DicomFrame.objects.values_list("series__modality", "window_center"))
        assert found == {"CT": -600.0, "MR": 9.0}

    def test_names_are_in_no_report(self, tmp_path: Path, scans: Collection) -> None:
        files = {"DOE-JOHN.dcm": b"no DICOM at all", "ROE": of("A", "1", "1")[:600], "fine.jpg": factories.picture(1)}
        job = imported(tmp_path / "in", scans, files)
        assert (job.added, job.bad) == (1, 2)
        assert {line["source"] for line in report(job)} == {HIDDEN}
        table = write_tree(tmp_path / "t", {"p.csv": "sku,image\nX,GONE-JOHN.dcm\n"}) / "p.csv"
        job = import_run(import_create(scans, path=table).pk)
        assert "GONE" not in str(report(job))

    def test_a_table_says_what_it_says(self, tmp_path: Path, scans: Collection) -> None:
        files = {"p.csv": b"sku,title,image\nCASE-1,Nodule,DOE.dcm\n", "DOE.dcm": of("A", "1", "1")}
        imported(tmp_path / "in", scans, files)
        image = Image.objects.get()
        assert image.product is not None
        assert (image.product.sku, image.product.title, image.source) == ("CASE-1", "Nodule", "")

    def test_ground_truth_keeps_no_file_names(self, tmp_path: Path, scans: Collection) -> None:
        files = {"query/DOE.dcm": of("A", "1", "1", 1), "database/ROE.dcm": of("B", "2", "1", 2)}
        truth = b"query,image,grade\nDOE.dcm,ROE.dcm,easy\nDOE.dcm,POE.dcm,easy\n"
        job = imported(tmp_path / "in", scans, {**files, "ground_truth.csv": truth})
        query = Benchmark.objects.get().queries.get()
        assert query.name.startswith("dicom-")
        assert query.labels.count() == 1
        assert "POE" not in str(report(job))

    def test_an_archive_is_refused_before_it_is_stored(self, scans: Collection, settings: Any) -> None:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("a/nameless", of("A", "1", "1"))
        with pytest.raises(ArchiveOfDicom):
            import_create(scans, upload=SimpleUploadedFile("DOE.zip", archive.getvalue()))
        assert not ImportJob.objects.exists()
        assert not list(Path(settings.MEDIA_ROOT).rglob("*.zip"))

    def test_by_the_command_an_archive_is_read_where_it_lies(self, tmp_path: Path, scans: Collection) -> None:
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
            file.writestr("a/nameless", of("A", "1", "1"))
        assert import_run(import_create(scans, path=tmp_path / "a.zip").pk).added == 1

    def test_nonsense_is_refused_at_once(self, tmp_path: Path, scans: Collection) -> None:
        for options, error in (({"frames": "none"}, errors.BadFrames), ({"window": "lungs"}, errors.BadWindow)):
            with pytest.raises(error):
                import_create(scans, path=tmp_path, **options)


class TestOne:
    def test_added_once_and_deleted_with_its_study(self, scans: Collection) -> None:
        data = of("A", "1", "1")
        image, created = image_add(scans, data, source="DOE^JOHN.dcm")
        assert created
        assert image_add(scans, data, source="other.dcm") == (image, False)
        assert (image.source, image.dicom.series.modality) == ("", "CT")
        image_delete(image)
        assert not DicomStudy.objects.exists()

    def test_frame_and_window(self, scans: Collection) -> None:
        data = made(np.stack([ramp("<u2", 900, 1)] * 3), **HU)
        image, _ = image_add(scans, data, frame="last", window="40/80")
        assert (image.dicom.number, image.dicom.window_width, image.dicom.window_source) == (3, 80, "own")
        with pytest.raises(errors.BadFrame):
            image_add(scans, data, frame="4")
        with pytest.raises(NotDicom):
            image_add(scans, factories.picture(1), window="lung")

    def test_burned_in_text_is_marked_or_refused(self, scans: Collection, settings: Any) -> None:
        data = of("A", "1", "1", BurnedInAnnotation="YES")
        image, _ = image_add(scans, data)
        assert image.dicom.burned_in == "yes"
        settings.DICOM_BURNED_IN = "refuse"
        with pytest.raises(errors.BurnedIn):
            take_in(data)


class TestPatients:
    def test_no_patient_is_in_two_parts(self, scans: Collection) -> None:
        for patient in range(12):
            for seed in range(2):
                image_add(scans, of(f"P{patient}", str(patient), str(seed), seed))
        other, _ = image_add(scans, factories.picture(1))
        parts = split_by_patient(scans.pk, {"train": 2, "held out": 1}, seed=5)
        assert sorted(pk for ids in parts.values() for pk in ids) == sorted(Image.objects.values_list("pk", flat=True))
        known = patients_of(scans.pk)
        assert other.pk not in known
        sides = [{known[pk] for pk in ids if pk in known} for ids in parts.values()]
        assert all(sides)
        assert not sides[0] & sides[1]
        later, _ = image_add(scans, of("P3", "3", "9", 77))
        again = split_by_patient(scans.pk, {"train": 2, "held out": 1}, seed=5)
        side = next(name for name, ids in again.items() if later.pk in ids)
        assert {known[pk] for pk in parts[side] if pk in known} >= {patients_of(scans.pk)[later.pk]}

    def test_shares_must_make_sense(self, scans: Collection) -> None:
        for shares in ({}, {"a": 0}, {"a": 2, "b": -1}):
            with pytest.raises(ValueError):
                split_by_patient(scans.pk, shares)


def test_layouts_without_dicom_keep_their_names(tmp_path: Path, scans: Collection) -> None:
    imported(tmp_path / "in", scans, layout_files())
    assert not Benchmark.objects.get().queries.filter(name__startswith="dicom-").exists()
