"""Chat completions: the dialect that OpenAI began and some forty vendors speak, each a little differently."""
