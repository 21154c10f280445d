"""The catalog in the admin: one file a group of models."""

from catalog.admin import benchmarks, collections, images, imports, products, studies

__all__ = ["benchmarks", "collections", "images", "imports", "products", "studies"]
