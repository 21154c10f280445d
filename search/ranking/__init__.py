"""From a descriptor to a ranking: coarse, fine, rules. No Django here."""

from search.ranking.candidates import Candidate, Facts, Reason
from search.ranking.pipeline import Originals, Pipeline, Ranking
from search.ranking.rules import BadRule, Rule, rules_from

__all__ = ["BadRule", "Candidate", "Facts", "Originals", "Pipeline", "Ranking", "Reason", "Rule", "rules_from"]
