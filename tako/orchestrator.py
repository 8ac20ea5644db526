"""The orchestrators where the first tako had them; `tako.orchestrators` has the rest."""

from tako.orchestrators import AbMcts, Conductor, SelfCaller, SingleAgent, Trinity

__all__ = ["AbMcts", "Conductor", "SelfCaller", "SingleAgent", "Trinity"]
