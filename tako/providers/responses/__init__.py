"""OpenAI's responses, whoever speaks them: `encode` and `items` write requests, `decode` reads answers."""
