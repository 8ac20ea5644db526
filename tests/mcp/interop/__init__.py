"""tako against MCP servers and clients that others wrote; `tests/mcp/peers.py` installs them."""
