"""Being an MCP server: any set of tools, or a whole agent, over stdio and Streamable HTTP, in both eras.

The way in: `serve` makes a McpServer of what it is given, and has an arm drive its `flow()`, over stdio, or
listen for its `handler()`, over HTTP. Both hand requests to `perform`, in methods.py, which knows neither.

| file                        | holds                                                                    |
|-----------------------------|--------------------------------------------------------------------------|
| serving.py                  | serve, serve_async                                                       |
| server.py                   | McpServer: what is served                                                |
| offers.py                   | ServedTool, Resource, Template, Prompt                                   |
| agent_tool.py, tapping.py   | an agent as a tool, whose events become progress                         |
| uri_template.py             | addresses with gaps                                                      |
| completion.py               | what arguments may be                                                    |
| methods.py                  | what each method does, whoever carries it                                |
| client.py                   | Client: what a running function can say to, and ask of, who called it    |
| questions.py                | what can be asked: Elicit, Sample, Roots                                 |
| request_state.py            | what a request that asks leaves with the client, sealed                  |
| content.py                  | answer, Embedded, ResourceLink: results that are more than one value     |
| news.py                     | what is told on no request's account, and to whom                        |
| mailbox.py                  | from any thread to the flow that writes                                  |
| envelope.py                 | what a request of the modern era says of itself, and its headers repeat  |
| stdio.py                    | carries it over our own standard input and output                        |
| http.py                     | carries it over HTTP: which era, which session, which status             |
| http_session.py             | what is remembered of a client of the handshake era                      |
| exchange.py                 | the answer to one POST: JSON, or a stream                                |
| doors.py                    | which Host and Origin are let in                                         |
"""

from __future__ import annotations

from tako.mcp.server.client import Client, InputNeeded
from tako.mcp.server.content import Embedded, ResourceLink, answer
from tako.mcp.server.offers import Prompt, Resource, ServedTool, Template
from tako.mcp.server.questions import Elicit, Elicited, Root, Roots, Sample, Sampled
from tako.mcp.server.server import McpServer
from tako.mcp.server.serving import serve, serve_async

__all__ = [
    "Client",
    "Elicit",
    "Elicited",
    "Embedded",
    "InputNeeded",
    "McpServer",
    "Prompt",
    "Resource",
    "ResourceLink",
    "Root",
    "Roots",
    "Sample",
    "Sampled",
    "ServedTool",
    "Template",
    "answer",
    "serve",
    "serve_async",
]
