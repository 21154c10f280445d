"""Rows of the search side."""

from search.models.access import ApiKey, Scope
from search.models.duplicates import (
    DecidedPair,
    DuplicateGroup,
    DuplicateMember,
    DuplicateScan,
    PerceptualHash,
)
from search.models.evaluation import EvaluationRun, QueryResult
from search.models.features import Embedding, FeatureModel
from search.models.indexes import Engine, IndexBuild, SearchIndex
from search.models.queries import SearchLog, UploadedQuery
from search.models.query_cache import CatalogChange, QueryCacheCount
from search.models.training import AttributeProposal, TrainingRun

__all__ = [
    "ApiKey",
    "AttributeProposal",
    "CatalogChange",
    "DecidedPair",
    "DuplicateGroup",
    "DuplicateMember",
    "DuplicateScan",
    "Embedding",
    "Engine",
    "EvaluationRun",
    "FeatureModel",
    "IndexBuild",
    "PerceptualHash",
    "QueryCacheCount",
    "QueryResult",
    "Scope",
    "SearchIndex",
    "SearchLog",
    "TrainingRun",
    "UploadedQuery",
]
