"""Casting: who speaks at each step of a run, where there is more than one who could.

| file           | what is in it                                                              |
|----------------|----------------------------------------------------------------------------|
| casting.py     | Casting: who may speak, and who chooses; Scene: what a router is told      |
| turns.py       | what a run keeps of it: who spoke, who is about to, what each has used     |
| speaking.py    | having the one that was chosen speak, and whether the run goes on          |
| directions.py  | what is said between two speakers                                          |
| verdict.py     | what a verifier says: accept, or revise                                    |
"""
