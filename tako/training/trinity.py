"""The trainer and what goes with it where the first tako had them."""

from tako.training import Rollout, TrinityTrainer, cli, label_from_scores

__all__ = ["Rollout", "TrinityTrainer", "cli", "label_from_scores"]
