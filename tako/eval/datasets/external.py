"""The loaders of public benchmarks where the first tako had them."""

from tako.eval import load_gpqa_diamond, load_swe_bench_lite

__all__ = ["load_gpqa_diamond", "load_swe_bench_lite"]
