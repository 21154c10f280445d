"""What we have, and what is true of it: collections, products, pictures and ground truth."""

from catalog.models.imports import ImportJob
from catalog.models.medical import DicomFrame, DicomSeries, DicomStudy, WindowSource
from catalog.models.things import Collection, Image, ImageRole, Product
from catalog.models.truth import Benchmark, Grade, Label, Query, Relevance

__all__ = [
    "Benchmark",
    "Collection",
    "DicomFrame",
    "DicomSeries",
    "DicomStudy",
    "Grade",
    "Image",
    "ImageRole",
    "ImportJob",
    "Label",
    "Product",
    "Query",
    "Relevance",
    "WindowSource",
]
