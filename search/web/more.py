"""The further examples of a question: pictures that were added, hits that were ticked."""

from __future__ import annotations

import uuid
from typing import TypeAlias

from django.http import QueryDict

from catalog.models import Collection, Image, ImageRole
from search.examples import MOST
from search.models import UploadedQuery

# An address may be old: what is no longer there, or never was, is left out rather than refused.
Subject: TypeAlias = UploadedQuery | Image


def added(collection: Collection, params: QueryDict, subject: Subject) -> tuple[UploadedQuery, ...]:
    """Uploaded pictures besides the asking one, in the order of the address."""
    keys = [key for text in params.getlist("also")[:MOST] if (key := _uuid(text)) and key != subject.pk]
    found = UploadedQuery.objects.filter(collection=collection).in_bulk(keys) if keys else {}
    return tuple(found[key] for key in dict.fromkeys(keys) if key in found)


def ticked(collection: Collection, params: QueryDict, subject: Subject) -> tuple[tuple[Image, ...], tuple[Image, ...]]:
    """Pictures liked, and pictures not liked. One that is both, as only a page without a script sends, is liked."""
    asking = subject.pk if isinstance(subject, Image) else None
    likes = [key for key in _ids(params, "like") if key != asking]
    unlikes = [key for key in _ids(params, "unlike") if key != asking and key not in likes]
    if not likes and not unlikes:
        return (), ()
    gallery = Image.objects.filter(collection=collection, role=ImageRole.GALLERY).select_related("product")
    found = gallery.in_bulk([*likes, *unlikes])
    return tuple(found[key] for key in likes if key in found), tuple(found[key] for key in unlikes if key in found)


def _ids(params: QueryDict, name: str) -> list[int]:
    texts = params.getlist(name)[:MOST]
    return list(dict.fromkeys(int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 19))


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
