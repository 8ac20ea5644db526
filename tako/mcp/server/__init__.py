"""Being an MCP server: any set of tools, or a whole agent, over stdio and Streamable HTTP, in both eras.

| file              | holds                                                                       |
|-------------------|-----------------------------------------------------------------------------|
| server.py         | McpServer: what is served                                                   |
| offers.py         | ServedTool, Resource, Template, Prompt                                      |
| client.py         | Client: what a running function can say to, and ask of, who called it       |
| questions.py      | what can be asked: Elicit, Sample, Roots                                    |
| content.py        | answer, Embedded, ResourceLink: results that are more than one value        |
| methods.py        | what each method does, whoever carries it                                   |
| stdio.py          | carries it over our own standard input and output                           |
| http.py, post.py  | carry it over HTTP                                                          |
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
