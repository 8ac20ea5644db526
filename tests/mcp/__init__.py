"""tako as a client of MCP servers, and as one."""
