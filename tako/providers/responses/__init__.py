"""OpenAI's responses, whoever speaks them: `encode` and `items` write, `decode` and `growing` read."""
