"""What users' editors and checkers infer. These modules are checked by mypy and pyright, never run.

`assert_type` fixes what is inferred; a `# type: ignore[code]` fixes what is refused, because an ignore
that is not needed is an error too.
"""
