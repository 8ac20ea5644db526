"""json_schema: whether a value is what a JSON schema says, told to a model or to somebody tired.

    check({"price": "9"}, schema)       # InvalidInput: /price: should be a number, not text
    checker = compiled(schema)          # once; raises InvalidInput for a schema that is wrong
    checker.check(value)                # often

See `checker` for the keywords and the limits, `pattern` for how regular expressions of strangers are matched.
"""

from tako.json_schema.checker import Checker, check, compiled

__all__ = ["Checker", "check", "compiled"]
