"""Who may do what: scopes (read < write < admin), and which collections a request sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth.models import User
from django.db.models import QuerySet
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from catalog.models import Collection
from search.api.errors import CollectionMissing
from search.models import ApiKey, Scope
from search.services import collections_for

if TYPE_CHECKING:
    from search.api.views.base import ApiView

_RANK = {Scope.READ: 0, Scope.WRITE: 1, Scope.ADMIN: 2}


def granted(request: Request) -> Scope:
    """A key's own scope; admin for a signed-in member of staff; read for everybody else."""
    if isinstance(request.auth, ApiKey):
        return Scope(request.auth.scope)
    return Scope.ADMIN if request.user.is_active and request.user.is_staff else Scope.READ


def allows(request: Request, needed: Scope) -> bool:
    return _RANK[granted(request)] >= _RANK[needed]


class HasScope(BasePermission):
    """Safe methods need the view's ``read_scope``, the others its ``write_scope``."""

    def has_permission(self, request: Request, view: ApiView) -> bool:  # type: ignore[override]
        return allows(request, view.read_scope if request.method in SAFE_METHODS else view.write_scope)


def visible_collections(request: Request) -> QuerySet[Collection]:
    """What a key is bound to; without a key what the visitor may see on the site."""
    if isinstance(request.auth, ApiKey):
        return request.auth.visible_collections()
    return collections_for(request.user)


def collection_get(request: Request, slug: str) -> Collection:
    """The collection of that name; one that the request may not see does not exist for it."""
    collection = next(iter(visible_collections(request).filter(slug=slug).order_by()[:1]), None)
    if collection is None:
        raise CollectionMissing(slug=slug)
    return collection


def acting_user(request: Request) -> User | None:
    """Whose name a job carries: the signed-in user, or who made the key."""
    if isinstance(request.auth, ApiKey):
        return request.auth.created_by
    return request.user if request.user.is_authenticated else None
