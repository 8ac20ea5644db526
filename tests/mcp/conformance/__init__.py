"""The official MCP conformance suite against our client and our server: `make conformance`.

| file           | what it is                                                                       |
|----------------|----------------------------------------------------------------------------------|
| `scenarios.py` | which scenarios each revision requires, by name                                  |
| `client.py`    | the client under test: does what a scenario needs, over the public API alone      |
| `server.py`    | the server under test: the tools, resources and prompts that the scenarios ask for |
| `run.py`       | runs the suite, two scenarios at a time, and writes docs/mcp-conformance.md       |
"""
