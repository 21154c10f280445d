"""What people decide on a group: both may stay, one of them is kept, or they are no duplicates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from catalog.errors import LookalikeError, gettext_noop
from catalog.models import Image
from catalog.services import image_delete
from search.duplicates.decided import decide_all, undecide_all
from search.duplicates.inheritance import inherit
from search.models import DuplicateGroup
from search.models.duplicates import DuplicateState

if TYPE_CHECKING:
    from django.contrib.auth.models import User


class AlreadyDecided(LookalikeError):
    code = "already_decided"
    text = gettext_noop("Somebody decided on this group already: %(state)s.")
    status = 409


class NotInGroup(LookalikeError):
    code = "not_in_group"
    text = gettext_noop("The picture %(image)s is not in this group.")
    cure = gettext_noop("Choose one of its pictures.")


class SeveralProducts(LookalikeError):
    code = "several_products"
    text = gettext_noop("The pictures belong to different products; merging takes the only picture from: %(products)s.")
    cure = gettext_noop("Keep all of them, or say that these products may be left without a picture.")
    status = 409


class NotReopenable(LookalikeError):
    code = "not_reopenable"
    text = gettext_noop("Only a group that was kept or dismissed can be decided on again; this one is: %(state)s.")
    status = 409


def group_keep(group: DuplicateGroup, user: User | None = None) -> DuplicateGroup:
    """They are duplicates and all of them stay; never asked about again. Raises AlreadyDecided."""
    return _decide(group, DuplicateState.KEPT, user)


def group_dismiss(group: DuplicateGroup, user: User | None = None) -> DuplicateGroup:
    """They are no duplicates; never asked about again, even when they are imported anew. Raises AlreadyDecided."""
    return _decide(group, DuplicateState.DISMISSED, user)


def group_merge(
    group: DuplicateGroup, keep: int, user: User | None = None, *, across_products: bool = False
) -> DuplicateGroup:
    """Keep the picture with the id ``keep``, which takes over what hangs on the others, and delete those. For good.

    ``across_products``: also where that leaves another product without a picture.
    Raises AlreadyDecided, NotInGroup, SeveralProducts.
    """
    with transaction.atomic():
        locked = _locked(group)
        images = images_of(locked)
        chosen = next((image for image in images if image.pk == keep), None)
        if chosen is None:
            raise NotInGroup(image=keep)
        others = [image for image in images if image.pk != keep]
        bereft = bereft_products(chosen, others)
        if bereft and not across_products:
            raise SeveralProducts(products=", ".join(bereft))
        inherit(chosen, others, image_delete)
        return _close(locked, DuplicateState.MERGED, user)


def group_reopen(group: DuplicateGroup) -> DuplicateGroup:
    """Take back that a group was kept or dismissed. Raises NotReopenable."""
    with transaction.atomic():
        locked = DuplicateGroup.objects.select_for_update().get(pk=group.pk)
        if locked.state not in (DuplicateState.KEPT, DuplicateState.DISMISSED):
            raise NotReopenable(state=locked.get_state_display())
        undecide_all(locked.collection, [image.sha256 for image in images_of(locked)])
        locked.state, locked.decided, locked.decided_by = DuplicateState.OPEN, None, None
        locked.save(update_fields=["state", "decided", "decided_by"])
        return locked


def images_of(group: DuplicateGroup) -> list[Image]:
    """Its pictures with their products, the representative first."""
    members = group.members.select_related("image__product").order_by("id")
    return [member.image for member in members]


def bereft_products(chosen: Image, others: Sequence[Image]) -> list[str]:
    """SKUs of products that have no other picture than those deleted, and are not the chosen picture's own."""
    products = {other.product for other in others if other.product and other.product_id != chosen.product_id}
    if chosen.product_id is None and len(products) == 1:
        return []  # the chosen picture becomes that product's
    gone = [other.pk for other in others]
    return sorted(product.sku for product in products if not product.images.exclude(pk__in=gone).exists())


def _decide(group: DuplicateGroup, state: DuplicateState, user: User | None) -> DuplicateGroup:
    with transaction.atomic():
        locked = _locked(group)
        decide_all(locked.collection, _contents(images_of(locked)))
        return _close(locked, state, user)


def _contents(images: Iterable[Image]) -> list[str]:
    return [image.sha256 for image in images]


def _locked(group: DuplicateGroup) -> DuplicateGroup:
    locked = DuplicateGroup.objects.select_for_update().get(pk=group.pk)
    if locked.state != DuplicateState.OPEN:
        raise AlreadyDecided(state=locked.get_state_display())
    return locked


def _close(group: DuplicateGroup, state: DuplicateState, user: User | None) -> DuplicateGroup:
    group.state, group.decided, group.decided_by = state, timezone.now(), user
    group.save(update_fields=["state", "decided", "decided_by"])
    return group
