"""The features of a text where the first tako had them."""

from tako.routers.features import FEATURE_DIM, featurise_text

__all__ = ["FEATURE_DIM", "featurise_text"]
