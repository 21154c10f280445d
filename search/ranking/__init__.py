"""From a descriptor to a ranking: coarse, fine, rules. No Django here."""

from search.ranking.candidates import Candidate, Facts, Reason
from search.ranking.pipeline import Pipeline, Ranking
from search.ranking.retrieval import Originals
from search.ranking.rules import BadRule, Context, Parameter, Rule, parameters_of, rules_from
from search.ranking.tiers import Tier

__all__ = [
    "BadRule",
    "Candidate",
    "Context",
    "Facts",
    "Originals",
    "Parameter",
    "Pipeline",
    "Ranking",
    "Reason",
    "Rule",
    "Tier",
    "parameters_of",
    "rules_from",
]
