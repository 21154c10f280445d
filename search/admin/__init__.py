"""The search side in the admin: one file a group of models."""

from search.admin import access, builds, collections, embeddings, evaluations, features, indexes, queries

__all__ = ["access", "builds", "collections", "embeddings", "evaluations", "features", "indexes", "queries"]
