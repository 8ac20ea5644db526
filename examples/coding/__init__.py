"""The parts of `examples.coding_agent`: the screen, the questions, a model for a demonstration."""
