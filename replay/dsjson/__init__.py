"""Logs of Vowpal Wabbit, Azure Personalizer and their relatives: one decision a line of JSON."""

from replay.dsjson.evaluate import DsjsonEvaluation, DsjsonPlan, evaluate_dsjson

__all__ = ["DsjsonEvaluation", "DsjsonPlan", "evaluate_dsjson"]
