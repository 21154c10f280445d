"""Which state of a collection's catalog a search saw: a number that any change of it changes, in the same transaction.

The database keeps it itself, by triggers: bulk updates, deletes that cascade, the admin and SQL by hand count like any
service. They are made anew after every ``migrate``. See docs/decisions/0025-query-caches.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

from django.db import connection, connections, transaction
from django.db.models import Max
from django.utils import timezone

from search.models import CatalogChange

Version: TypeAlias = tuple[int, int]  # (newest id, sum of ids) of the latest changes

NONE: Version = (0, 0)
# Ids are handed out before they are committed, so that a lower one may appear after a higher one. So many of the
# newest are looked at; a change behind more than these counts when what was kept has grown too old.
LATEST = 2000
KEEP = timedelta(days=1)  # longer than any answer is kept

PICTURE, PRODUCT, CHANGES = "catalog_image", "catalog_product", "search_catalogchange"
OF_PICTURE = ("collection_id", "role")
# What business rules may look at; see search.facts.
OF_PRODUCT = ("collection_id", "sku", "stock", "price", "category", "brand", "attributes", "created")
LINK = ("product_id",)


@dataclass(frozen=True)
class Catalog:
    """The state of a collection: which pictures there are, and what business rules may know of them."""

    pictures: Version = NONE
    products: Version = NONE


def catalog_of(collection_id: int) -> Catalog:
    """As of now: one look into an index of the database."""
    # Written out: of the milliseconds that a cached search takes, building this query would be a tenth.
    sql = (
        "SELECT kind, MAX(id), SUM(id) FROM (SELECT kind, id FROM search_catalogchange WHERE collection_id = %s "
        "ORDER BY id DESC LIMIT %s) AS latest GROUP BY kind"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [collection_id, LATEST])
        found = {kind: (int(newest), int(total)) for kind, newest, total in cursor.fetchall()}
    return Catalog(*(found.get(kind, NONE) for kind in CatalogChange.Kind.values))


def changes_purge() -> int:
    """Delete what is a day old, but for the last change of each collection. Returns how many."""
    last = CatalogChange.objects.values("collection_id").annotate(last=Max("id")).values("last")
    old = CatalogChange.objects.filter(created__lt=timezone.now() - KEEP).exclude(
        pk__in=list(last.values_list("last", flat=True))
    )
    return old.delete()[0]


@dataclass(frozen=True)
class Watch:
    """A trigger: ``event`` of ``table`` is a change of ``kind`` where one of ``columns`` differs (updates), or where
    the picture is one of the gallery."""

    name: str
    table: str
    event: str  # INSERT, UPDATE, DELETE
    kind: CatalogChange.Kind
    columns: tuple[str, ...] = ()


WATCHES = (
    Watch("lookalike_picture_added", PICTURE, "INSERT", CatalogChange.Kind.PICTURES),
    Watch("lookalike_picture_deleted", PICTURE, "DELETE", CatalogChange.Kind.PICTURES),
    Watch("lookalike_picture_changed", PICTURE, "UPDATE", CatalogChange.Kind.PICTURES, OF_PICTURE),
    Watch("lookalike_picture_moved", PICTURE, "UPDATE", CatalogChange.Kind.PRODUCTS, LINK),
    Watch("lookalike_product_changed", PRODUCT, "UPDATE", CatalogChange.Kind.PRODUCTS, OF_PRODUCT),
)


def watch(using: str = "default", plan: Sequence[object] = (), **_kwargs: Any) -> None:
    """After migrate: make the triggers, of which an altered table may have lost some."""
    there = set(connections[using].introspection.table_names())
    if not {PICTURE, PRODUCT, CHANGES} <= there:
        return  # migrated back to before these
    make = {"sqlite": _sqlite, "postgresql": _postgres}[connections[using].vendor]
    with transaction.atomic(using), connections[using].cursor() as cursor:
        _drop(using, there)
        for statement in (statement for one in WATCHES for statement in make(one)):
            cursor.execute(statement)
        if plan:  # nothing was noted meanwhile
            for kind in CatalogChange.Kind.values:
                cursor.execute(
                    f"INSERT INTO {CHANGES} (collection_id, kind, created) "  # noqa: S608  (names of our own)
                    f"SELECT id, '{kind}', CURRENT_TIMESTAMP FROM catalog_collection"
                )


def unwatch(using: str = "default", plan: Sequence[object] = (), **_kwargs: Any) -> None:
    """Before migrate: SQLite alters no table while a trigger names one that is just being replaced."""
    if plan:
        _drop(using, set(connections[using].introspection.table_names()))


def _drop(using: str, there: set[str]) -> None:
    with connections[using].cursor() as cursor:
        for one in (one for one in WATCHES if one.table in there):
            on = f" ON {one.table}" if connections[using].vendor == "postgresql" else ""
            cursor.execute(f"DROP TRIGGER IF EXISTS {one.name}{on}")


def _sqlite(one: Watch) -> list[str]:
    """A trigger for each row: it leaves one row a collection and kind. There is one writer at a time anyway."""
    sides = {"INSERT": ("NEW",), "DELETE": ("OLD",), "UPDATE": ("OLD", "NEW")}[one.event]
    if one.columns:
        when = " OR ".join(f"OLD.{column} IS NOT NEW.{column}" for column in one.columns)
    else:
        when = f"{sides[0]}.role = 'gallery'" if one.table == PICTURE else "1"
    whose = " UNION ".join(f"SELECT {side}.collection_id AS c" for side in sides)
    return [
        f"CREATE TRIGGER {one.name} AFTER {one.event} ON {one.table} FOR EACH ROW WHEN {when} BEGIN "  # noqa: S608
        f"DELETE FROM {CHANGES} WHERE kind = '{one.kind}' AND collection_id IN ({whose}); "
        f"INSERT INTO {CHANGES} (collection_id, kind, created) "
        f"SELECT c, '{one.kind}', CURRENT_TIMESTAMP FROM ({whose}); END"
    ]


def _postgres(one: Watch) -> list[str]:
    """A trigger for each statement, which adds a row: writers do not wait for each other, as with a counter."""
    tables = {"INSERT": "NEW TABLE AS new_rows", "DELETE": "OLD TABLE AS old_rows"}
    tables["UPDATE"] = f"{tables['DELETE']} {tables['INSERT']}"
    if one.columns:
        old, new = (", ".join(f"{side}.{column}" for column in one.columns) for side in ("o", "n"))
        rows = (
            "old_rows o JOIN new_rows n ON n.id = o.id CROSS JOIN LATERAL (VALUES (o.collection_id), (n.collection_id))"
            f" AS whose (c) WHERE ROW({old}) IS DISTINCT FROM ROW({new})"
        )
    else:
        side = "new_rows" if one.event == "INSERT" else "old_rows"
        gallery = " WHERE r.role = 'gallery'" if one.table == PICTURE else ""
        rows = f"{side} r CROSS JOIN LATERAL (VALUES (r.collection_id)) AS whose (c){gallery}"
    return [
        f"CREATE OR REPLACE FUNCTION {one.name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "  # noqa: S608
        f"INSERT INTO {CHANGES} (collection_id, kind, created) SELECT DISTINCT c, '{one.kind}', now() FROM {rows}; "
        "RETURN NULL; END $$",
        f"CREATE TRIGGER {one.name} AFTER {one.event} ON {one.table} REFERENCING {tables[one.event]} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {one.name}()",
    ]
