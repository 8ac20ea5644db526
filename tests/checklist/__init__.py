"""The behaviour that the second original asserted, line by line: each test has the id of its line."""
