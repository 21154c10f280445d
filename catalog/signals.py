"""Announcements of the catalog: who wants to act on them connects in its own AppConfig."""

from django.dispatch import Signal

# sent by catalog.services inside the transaction that added them; kwargs: collection, image_ids
images_added = Signal()
