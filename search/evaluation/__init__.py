"""How good are the rankings: metrics, ground-truth protocols, reports. Knows no Django."""

from search.evaluation.evaluate import BadRanking, Ranking, evaluate
from search.evaluation.metrics import Metric, Outcome, UnknownMetric, known_metrics, parse_metric, parse_metrics
from search.evaluation.protocol import (
    EASY,
    HARD,
    MEDIUM,
    PROTOCOLS,
    Grade,
    Protocol,
    Truth,
    protocol_named,
    truth_of,
)
from search.evaluation.report import Report

__all__ = [
    "EASY",
    "HARD",
    "MEDIUM",
    "PROTOCOLS",
    "BadRanking",
    "Grade",
    "Metric",
    "Outcome",
    "Protocol",
    "Ranking",
    "Report",
    "Truth",
    "UnknownMetric",
    "evaluate",
    "known_metrics",
    "parse_metric",
    "parse_metrics",
    "protocol_named",
    "truth_of",
]
