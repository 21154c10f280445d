"""What may be done to the catalog: the one place others import from.

Callers enqueue follow-up work; services never import tasks.
"""

from catalog.files import files_sweep
from catalog.ground_truth import HasLabels, LabelsReport, NothingToLabel, benchmark_from_classes, labels_import
from catalog.importers.run import import_run
from catalog.imports import import_create
from catalog.medicine import picture_limits
from catalog.pictures import ProductElsewhere, image_add, image_delete, images_announce
from catalog.products import BadProduct, product_upsert

__all__ = [
    "BadProduct",
    "HasLabels",
    "LabelsReport",
    "NothingToLabel",
    "ProductElsewhere",
    "benchmark_from_classes",
    "files_sweep",
    "image_add",
    "image_delete",
    "images_announce",
    "import_create",
    "import_run",
    "labels_import",
    "picture_limits",
    "product_upsert",
]
