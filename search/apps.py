from django.apps import AppConfig
from django.conf import settings
from django.utils.translation import gettext_lazy as _


class SearchConfig(AppConfig):
    name = "search"
    verbose_name = _("Search")

    def ready(self) -> None:
        from django.db.models.signals import post_migrate, post_save, pre_migrate

        from catalog.models import Product
        from catalog.signals import images_added
        from search import checks  # noqa: F401  (registers the system checks)
        from search.catalog_changes import unwatch, watch
        from search.engines import milvus_server
        from search.indexes import device
        from search.indexes.milvus_server import use
        from search.receivers import embed_added, proposals_drop

        use(milvus_server)
        device.use(lambda: str(settings.FAISS_DEVICE))
        images_added.connect(embed_added, dispatch_uid="search.embed_added")
        post_save.connect(proposals_drop, sender=Product, dispatch_uid="search.proposals_drop")
        pre_migrate.connect(unwatch, sender=self, dispatch_uid="search.unwatch")
        post_migrate.connect(watch, sender=self, dispatch_uid="search.watch")
