"""The search side in the admin: one file a group of models."""

from search.admin import (
    access,
    builds,
    collections,
    duplicates,
    embeddings,
    evaluations,
    features,
    indexes,
    labelling,
    proposals,
    queries,
    trainings,
)

__all__ = [
    "access",
    "builds",
    "collections",
    "duplicates",
    "embeddings",
    "evaluations",
    "features",
    "indexes",
    "labelling",
    "proposals",
    "queries",
    "trainings",
]
