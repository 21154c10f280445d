"""Finding a collection by what a person calls it, or making it."""

from __future__ import annotations

import hashlib

from django.utils.text import slugify

from catalog.models import Collection

MAX_SLUG = 60


def collection_get_or_create(name: str, *, is_public: bool | None = None) -> Collection:
    """The collection of this slug or name, made if there is none. ``is_public`` None leaves it as it is."""
    name = name.strip()[:100]
    found = Collection.objects.filter(slug=name).first() or Collection.objects.filter(name=name).first()
    collection = found or Collection(name=name, slug=free_slug(name))
    if is_public is not None:
        collection.is_public = is_public
    if found is None or is_public is not None:
        collection.save()
    return collection


def free_slug(name: str) -> str:
    """An unused slug. Of a name without a Latin letter or figure it is a hash: ``c-`` and eight hex digits."""
    slug = slugify(name)[:MAX_SLUG].strip("-_") or "c-" + hashlib.sha256(name.encode()).hexdigest()[:8]
    candidate, number = slug, 1
    while Collection.objects.filter(slug=candidate).exists():
        number += 1
        candidate = f"{slug[: MAX_SLUG - 8]}-{number}"
    return candidate
