"""What the tests of links share, in every arm: a machine of lines, and a child and a server that do as told.

    a line we send      NUMBER COMMAND [ARGUMENT]      of an Ask; a Tell has "-" for a number
    a line that comes   NUMBER ANSWER                  in any order; "!" before the answer is a failure
                        * ...                          belongs to no question; "* over" ends the link

What the child, SERVANT, understands:

| echo TEXT        | answers it                             | pid, directory, environ NAME | answers that   |
| fail TEXT        | answers it as a failure                | told                         | how many Tells |
| hold             | answers when `release` comes           | complain SIZE    writes to standard error     |
| release          | answers all that were held, shuffled   | big SIZE         answers with so many bytes   |
| nap SECONDS      | answers then                           | spawn            its child, which holds the   |
| die CODE WORDS   | ends, with words on standard error     |                  pipes; answers its number    |
| close            | closes its output and lives            | stubborn         heeds neither SIGTERM nor    |
| deaf             | reads no more                          |                  the end of its input         |
| over             | says that the link is over             | flood PATH       writes for ever, and notes   |
|                  |                                        |                  in the file how many bytes   |

Answers to what has come in one read are shuffled. The server, `echo_server`, knows echo, fail, hold, alpn
(answers what was agreed on), close (hangs up) and reset (so that it is no orderly end).
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

from tako.effects import Failed, Outcome, Succeeded
from tako.errors import TakoError, ToolError
from tako.links import Child

__all__ = ["LineMachine", "echo_server", "servant"]

SERVANT = r"""
import os, sys, time, _signal
held, told, rest, stubborn = [], 0, b"", False

def say(lines):
    data = b"".join(line + b"\n" for line in lines)
    while data:
        data = data[os.write(1, data):]

while True:
    data = os.read(0, 65536)
    if not data:
        if stubborn:
            time.sleep(60)
        break
    *lines, rest = (rest + data).split(b"\n")
    answers = []
    for line in lines:
        number, command, argument = (line + b"  ").split(b" ", 2)
        argument = argument.strip()
        if number == b"-":
            told += 1
        if command == b"hold":
            held.append(number)
            continue
        elif command == b"release":
            answers += [(each, b"released") for each in held]
            held, argument = [], b"released"
        elif command == b"fail":
            argument = b"!" + argument
        elif command == b"nap":
            time.sleep(float(argument))
        elif command == b"die":
            code, _, words = argument.partition(b" ")
            os.write(2, words)
            os._exit(int(code))
        elif command == b"close":
            os.close(1)
            time.sleep(60)
        elif command == b"deaf":
            time.sleep(60)
        elif command == b"over":
            answers.append((b"*", b"over"))
        elif command == b"pid":
            argument = b"%d" % os.getpid()
        elif command == b"directory":
            argument = os.fsencode(os.getcwd())
        elif command == b"environ":
            argument = os.environb.get(argument, b"(none)")
        elif command == b"told":
            argument = b"%d" % told
        elif command == b"complain":
            os.write(2, b"x" * int(argument))
        elif command == b"big":
            argument = b"x" * int(argument)
        elif command == b"spawn":
            child = os.fork()
            if not child:
                _signal.signal(_signal.SIGTERM, _signal.SIG_IGN)
                time.sleep(60)
            argument = b"%d" % child
        elif command == b"stubborn":
            stubborn = True
            _signal.signal(_signal.SIGTERM, _signal.SIG_IGN)
        elif command == b"flood":
            progress = os.open(argument, os.O_WRONLY | os.O_CREAT)
            written = 0
            while True:
                written += os.write(1, b"* " + b"x" * 1021 + b"\n")
                os.pwrite(progress, b"%d" % written, 0)
        if number != b"-":
            answers.append((number, argument))
    answers.sort(key=lambda _: os.urandom(4))
    say([number + b" " + argument for number, argument in answers])
"""


def servant(environ: tuple[tuple[str, str], ...] | None = None, directory: str | None = None) -> Child:
    """The child, ready to be opened."""
    return Child((sys.executable, "-S", "-E", "-c", SERVANT), environ, directory)


class LineMachine:
    """Asks and tells as lines. What a driver has done with it is there to be looked at."""

    def __init__(self, *, over_after_goodbye: bool = True) -> None:
        self.forgotten: list[Hashable] = []
        self.error: TakoError | None = None
        self.unasked = 0
        """Bytes of lines that belong to no question."""
        self.said = 0
        """Bytes of all that was to be sent."""
        self.has_ended = False
        self.has_said_goodbye = False
        self.poke: Callable[[], None] | None = None
        self._over_after_goodbye = over_after_goodbye
        self._is_over = False
        self._count = 0
        self._waiting: set[Hashable] = set()
        self._rest = b""
        self._to_send = bytearray()
        self._outcomes: list[tuple[Hashable, Outcome[Any]]] = []

    def attach(self, poke: Callable[[], None]) -> None:
        self.poke = poke

    def ask(self, message: Any) -> Hashable:
        if not isinstance(message, str) or "\n" in message:
            raise ToolError("a message is a line of text")
        self._count += 1
        self._waiting.add(self._count)
        self._to_send += f"{self._count} {message}\n".encode()
        return self._count

    def tell(self, message: Any) -> None:
        if not isinstance(message, str) or "\n" in message:
            raise ToolError("a message is a line of text")
        self._to_send += f"- {message}\n".encode()

    def forget(self, ticket: Hashable) -> None:
        self._waiting.discard(ticket)
        self.forgotten.append(ticket)

    def receive_data(self, data: bytes) -> None:
        if not data:
            self.has_ended = True
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            number, _, text = line.decode().partition(" ")
            if number == "*":
                self.unasked += len(line)
                self._is_over |= text == "over"
            elif int(number) in self._waiting:
                self._waiting.discard(int(number))
                self.give(int(number), Failed(ToolError(text[1:])) if text[:1] == "!" else Succeeded(text))

    def give(self, ticket: Hashable, outcome: Outcome[Any]) -> None:
        """Answer by itself; to be followed by a `poke`."""
        self._outcomes.append((ticket, outcome))

    def say(self, text: str) -> None:
        """Send by itself; to be followed by a `poke`."""
        self._to_send += text.encode()

    def lost(self, error: TakoError) -> None:
        assert self.error is None, "a link is lost once"
        self.error = error

    def data_to_send(self) -> bytes:
        data = bytes(self._to_send)
        self._to_send.clear()
        self.said += len(data)
        return data

    def outcomes(self) -> Sequence[tuple[Hashable, Outcome[Any]]]:
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    def goodbye(self) -> None:
        self.has_said_goodbye = True
        self._is_over = self._over_after_goodbye
        self._to_send += b"- goodbye\n"

    @property
    def is_over(self) -> bool:
        return self._is_over or self.has_ended


@contextlib.contextmanager
def echo_server(context: ssl.SSLContext | None = None) -> Iterator[int]:
    """The port of a server of lines on 127.0.0.1, under TLS with a context."""
    connections: set[socket.socket] = set()

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connections.add(connection)
            threading.Thread(target=serve, args=(connection,), name="tako-loopback", daemon=True).start()

    def serve(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            if context is not None:
                connections.discard(connection)
                connection = context.wrap_socket(connection, server_side=True)
                connections.add(connection)
            with connection:
                _serve_lines(connection)
        connections.discard(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        acceptor = threading.Thread(target=accept, name="tako-loopback", daemon=True)
        acceptor.start()
        try:
            yield listener.getsockname()[1]
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            for connection in list(connections):
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)
            acceptor.join()


def _serve_lines(connection: socket.socket) -> None:
    rest = b""
    while data := connection.recv(65536):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            number, command, argument = (line + b"  ").split(b" ", 2)
            argument = argument.strip()
            if command == b"alpn":
                agreed = (
                    connection.selected_alpn_protocol() if isinstance(connection, ssl.SSLSocket) else None
                )
                argument = (agreed or "(none)").encode()
            elif command == b"fail":
                argument = b"!" + argument
            elif command == b"close":
                return
            elif command == b"reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            if number != b"-" and command != b"hold":
                connection.sendall(number + b" " + argument + b"\n")
