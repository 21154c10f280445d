"""Rows of the search side."""

from search.models.access import ApiKey, Scope
from search.models.evaluation import EvaluationRun, QueryResult
from search.models.features import Embedding, FeatureModel
from search.models.indexes import IndexBuild, SearchIndex
from search.models.queries import SearchLog, UploadedQuery

__all__ = [
    "ApiKey",
    "Embedding",
    "EvaluationRun",
    "FeatureModel",
    "IndexBuild",
    "QueryResult",
    "Scope",
    "SearchIndex",
    "SearchLog",
    "UploadedQuery",
]
