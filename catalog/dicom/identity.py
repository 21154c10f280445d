"""Who a file is of, as keys: the same for the same person, study and series, and saying nothing of them.

HMAC-SHA-256 (RFC 2104) under the site's secret: without that, nobody can test a guess. The UIDs of copies are made
of the keys as PS3.5 B.2 makes them of UUIDs: ``2.25.`` and an integer.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass

from catalog.dicom.attributes import texts, value
from catalog.dicom.private import own_of
from catalog.dicom.reading import Source

LENGTH = 32  # hexadecimal digits of a key: 128 bits
_UID = re.compile(r"2\.25\.(\d{1,39})")
_KEY = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Keys:
    """``space``: the frame of reference, empty where there is none."""

    patient: str
    study: str
    series: str
    instance: str
    space: str = ""


class Identity:
    """The pseudonyms of one site."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def key(self, kind: str, *parts: str) -> str:
        """32 hexadecimal digits."""
        message = "\x1f".join((kind, *parts)).encode("utf-8", "surrogatepass")
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()[:LENGTH]

    def seal(self, keys: Keys) -> str:
        """What proves that the keys of a copy were made by this site."""
        return self.key("seal", keys.patient, keys.study, keys.series, keys.instance, keys.space)

    def keys(self, source: Source) -> Keys:
        """The keys of a file; a copy that this site made keeps its own."""
        return self._own(source) or self._new(source)

    def _own(self, source: Source) -> Keys | None:
        seal = own_of(source.ds).seal
        if not _KEY.fullmatch(seal):
            return None
        uids = (_uid_of(source, name) for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"))
        study, series, instance = (key_of_uid(uid) for uid in uids)
        space = key_of_uid(_uid_of(source, "FrameOfReferenceUID"))
        keys = Keys(_text(source, "PatientID").lower(), study, series, instance, space)
        return keys if hmac.compare_digest(self.seal(keys), seal) else None

    def _new(self, source: Source) -> Keys:
        """What a file does not say is made of the next that it does, in the end of its pixels."""
        instance = _uid_of(source, "SOPInstanceUID") or "pixels " + _digest(source)
        series = _uid_of(source, "SeriesInstanceUID") or "instance " + instance
        study = _uid_of(source, "StudyInstanceUID") or "series " + series
        space = _uid_of(source, "FrameOfReferenceUID")
        patient = _text(source, "PatientID")
        person = ("patient", patient, _text(source, "IssuerOfPatientID")) if patient else ("patient of study", study)
        return Keys(
            self.key(*person),
            self.key("study", study),
            self.key("series", series),
            self.key("instance", instance),
            self.key("space", space) if space else "",
        )


def uid_of_key(key: str) -> str:
    return f"2.25.{int(key, 16)}"


def key_of_uid(uid: str) -> str:
    """The key that uid_of_key() was given; empty for any other UID."""
    found = _UID.fullmatch(uid)
    return f"{int(found[1]):032x}" if found and int(found[1]) < 1 << 128 else ""


def _uid_of(source: Source, keyword: str) -> str:
    return _text(source, keyword).strip("\0")


def _text(source: Source, keyword: str) -> str:
    return "\\".join(texts(source.ds, keyword))


def _digest(source: Source) -> str:
    found = value(source.ds, source.keyword)
    return hashlib.sha256(found if isinstance(found, bytes) else b"").hexdigest()
