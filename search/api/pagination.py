"""Lists come in pages: ``{"next", "previous", "results"}``, walked by the addresses in them."""

from __future__ import annotations

from typing import Any

from rest_framework.pagination import CursorPagination

_PAGE = "https://lookalike.example/api/v1/collections/?cursor={}"


class Pages(CursorPagination):
    """By cursor: a page costs the same however deep it lies, and rows added meanwhile shift nothing."""

    page_size = 50
    max_page_size = 200
    page_size_query_param = "limit"
    ordering = "id"

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        described = super().get_paginated_response_schema(schema)
        examples = {"next": _PAGE.format("cD00ODY%3D"), "previous": None}
        for name, example in examples.items():
            described["properties"][name]["example"] = example
        return described


class NewestFirst(Pages):
    """For jobs: the last one is what one asks for."""

    ordering = "-id"
