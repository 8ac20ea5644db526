"""An approval that may take days: the run waits in a database, and no process waits with it.

    python -m examples.approve_later

This is the recipe for a web application. What the tables hold is all that outlives a request: here each
request is a process of its own, which is killed as soon as it has answered, with no chance to tidy up.

| request                     | does                                                                        |
|-----------------------------|-----------------------------------------------------------------------------|
| POST /runs                  | runs the agent until it stops at a call that somebody has to approve, seals |
|                             | the run with a key, and stores it                                           |
| GET  /runs/<id>             | shows what waits                                                            |
| POST /runs/<id>/decisions   | loads the run, tells it the decision, and goes on to the end                |

What to keep in mind:

- The seal says that the run is one of ours, unchanged. It does not say whose it is, or that it is the newest:
  so the row has an owner, and is found by both.
- A decision comes back with the id and the `digest` of the call that the user was shown; for other arguments
  it is refused.
- A row is taken out of the table before its run goes on: who sends the decision twice gets the refund once.
  If the process dies on the way, the run is gone with it: mark the row instead, to find such runs.
- Keys change: `load` takes several, and seals made with any of them hold.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

from tako import AgentRun, Approved, ChatRequest, ContentPart, Denied, InvalidInput, SingleAgent, Tool
from tako.models import ToolResultPart
from tako.providers import Fake
from tako.providers.fake import Reply

__all__ = ["Application", "main"]

Answer: TypeAlias = dict[str, object]
"""What a request is answered with, as JSON."""

TABLES = """
CREATE TABLE IF NOT EXISTS waiting (id TEXT PRIMARY KEY, owner TEXT NOT NULL, run TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS refunds (order_number TEXT NOT NULL, cents INTEGER NOT NULL);
"""


def reply(request: ChatRequest) -> Reply:
    """A model that needs no key: it asks for a refund, and reads what came of it."""
    parts = [part for message in request.messages for part in message.content]
    results = [str(part.result) for part in parts if isinstance(part, ToolResultPart)]
    if results:
        return f"It is done: {results[-1]}."
    return ContentPart.tool_call("call_1", "refund", {"order_number": "A-17", "cents": 4200})


class Application:
    """What a web framework would call. Nothing is kept in here between two requests."""

    def __init__(self, database: Path, key: str) -> None:
        self.database = database
        self.key = key
        self.agent = SingleAgent(Fake(script=reply), tools=[Tool(self.refund, approval=True)])

    def refund(self, order_number: str, cents: int) -> str:
        """Pay an order back."""
        with closing(self._connect()) as rows, rows:
            rows.execute("INSERT INTO refunds VALUES (?, ?)", (order_number, cents))
        return f"{cents / 100:.2f} were paid back for order {order_number}"

    def ask(self, owner: str, prompt: str) -> Answer:
        """POST /runs"""
        return self._go_on(owner, self.agent.start(prompt, user_id=owner))

    def show(self, owner: str, id: str) -> Answer:
        """GET /runs/<id>"""
        return self._waiting(id, self._load(owner, id))

    def decide(self, owner: str, id: str, call_id: str, digest: str, allow: bool) -> Answer:
        """POST /runs/<id>/decisions"""
        run = self._load(owner, id)
        run.answer(call_id, Approved() if allow else Denied(reason="the owner refused"), digest=digest)
        with closing(self._connect()) as rows, rows:
            taken = rows.execute("DELETE FROM waiting WHERE id = ? AND owner = ?", (id, owner)).rowcount
        if not taken:
            raise LookupError(f"run {id} was decided by somebody else just now")
        return self._go_on(owner, run)

    def _go_on(self, owner: str, run: AgentRun) -> Answer:
        """Run as far as it goes; what has to wait is sealed and stored."""
        result = self.agent.run_sync(run)
        if result.stop_reason != "approval_required":
            return {"status": result.stop_reason, "text": result.text}
        id = secrets.token_urlsafe(12)
        with closing(self._connect()) as rows, rows:
            rows.execute("INSERT INTO waiting VALUES (?, ?, ?)", (id, owner, run.dumps(self.key)))
        return self._waiting(id, run)

    def _load(self, owner: str, id: str) -> AgentRun:
        """The run of this owner; raises LookupError, and InvalidInput if somebody changed it."""
        with closing(self._connect()) as rows:
            row = rows.execute("SELECT run FROM waiting WHERE id = ? AND owner = ?", (id, owner)).fetchone()
        if row is None:
            raise LookupError(f"there is no run {id} that waits for {owner}")
        return self.agent.load(row[0], self.key)

    def _waiting(self, id: str, run: AgentRun) -> Answer:
        """What the user is shown, and sends back."""
        pending = run.pending[0]
        return {
            "status": "approval_required",
            "id": id,
            "call": f"{pending.call.name} {json.dumps(pending.call.args)}",
            "call_id": pending.call.id,
            "digest": pending.digest,
        }

    def _connect(self) -> sqlite3.Connection:
        rows = sqlite3.connect(self.database)
        rows.executescript(TABLES)
        return rows


def serve(database: str, action: str, arguments: str) -> None:
    """One request: the answer goes to stdout, and then this process dies as hard as a process can."""
    application = Application(Path(database), os.environ["SEALING_KEY"])
    actions: dict[str, Callable[..., Answer]] = {
        "ask": application.ask,
        "show": application.show,
        "decide": application.decide,
    }
    try:
        answer = actions[action](**json.loads(arguments))
    except (InvalidInput, LookupError) as error:
        answer = {"status": "refused", "why": str(error)}
    print(json.dumps(answer), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


def request(database: Path, key: str, action: str, **arguments: object) -> Answer:
    """Have a new process serve this request."""
    print(f"\n{action} {json.dumps(arguments)}")
    done = subprocess.run(
        [sys.executable, "-m", "examples.approve_later", str(database), action, json.dumps(arguments)],
        env={**os.environ, "SEALING_KEY": key},
        stdout=subprocess.PIPE,
        text=True,
    )
    answer: Answer = json.loads(done.stdout)
    for name, value in answer.items():
        print(f"  {name}: {value}")
    print(f"  (its process is gone: {signal.Signals(-done.returncode).name})")
    return answer


def change(database: Path, before: int, after: int) -> None:
    """What somebody does who can write to the table, and wants more."""
    print(f"\nsomebody changes {before} to {after} in the table")
    with closing(sqlite3.connect(database)) as rows, rows:
        rows.execute("UPDATE waiting SET run = replace(run, ?, ?)", (f":{before}", f":{after}"))


def main() -> None:
    key = secrets.token_urlsafe(32)
    with tempfile.TemporaryDirectory() as directory:
        database = Path(directory) / "application.db"
        asked = request(database, key, "ask", owner="ada", prompt="Order A-17 came broken. I want my money.")
        decision = {"id": asked["id"], "call_id": asked["call_id"], "digest": asked["digest"], "allow": True}

        change(database, 4200, 9900)
        request(database, key, "decide", owner="ada", **decision)
        change(database, 9900, 4200)

        request(database, key, "show", owner="ada", id=asked["id"])
        request(database, key, "decide", owner="ada", **decision)
        request(database, key, "decide", owner="ada", **decision)
        with closing(sqlite3.connect(database)) as rows:
            print(f"\nrefunds: {rows.execute('SELECT * FROM refunds').fetchall()}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        serve(*sys.argv[1:])
    else:
        main()
