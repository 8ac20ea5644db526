"""How each vendor puts an answer on the wire: one file a wire format, each with `whole` and `stream`."""
