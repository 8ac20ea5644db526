"""Public benchmarks where the first tako had them: in `tako.eval.datasets.external`."""
