"""The report as one HTML page: no script, nothing loaded from elsewhere, readable without colours."""

from __future__ import annotations

from html import escape

from tako.eval.report import Attempt, EvalReport, TaskResult, percentile

__all__ = ["as_html"]

MAX_SHOWN = 2_000
"""Characters of an answer on the page; the JSON report has all of it."""

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
body { color: #1d2433 }
table { border-collapse: collapse; width: 100% }
td, th { padding: .3rem .6rem; border-bottom: 1px solid #d9dee8; text-align: left; vertical-align: top }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums }
.passed { color: #0a7a3d } .failed { color: #b3261e }
pre { white-space: pre-wrap; background: #f4f6fa; padding: .6rem; margin: .3rem 0 }
dl { display: grid; grid-template-columns: max-content auto; gap: .2rem 1rem } dd { margin: 0 }
"""


def as_html(report: EvalReport) -> str:
    """The whole page; whatever a model has said is shown and never interpreted."""
    title = escape(f"{report.orchestrator} on {report.dataset}")
    by_task: dict[str, list[Attempt]] = {}
    for attempt in report.attempts:
        by_task.setdefault(attempt.task_id, []).append(attempt)
    rows = "\n".join([_row(result, by_task.get(result.task_id, [])) for result in report.task_results])
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head>\n<body>\n<h1>{title}</h1>\n{_summary(report)}\n"
        f'<table>\n<tr><th>Task</th><th class="number">Passed</th><th class="number">pass@{report.k}</th>'
        '<th class="number">Score</th><th class="number">p50, ms</th></tr>\n'
        f"{rows}\n</table>\n</body>\n</html>\n"
    )


def _summary(report: EvalReport) -> str:
    cost = "not known" if report.cost_usd is None else f"${report.cost_usd:.4f}"
    tokens = f"{report.usage.input_tokens or 0:,} in, {report.usage.output_tokens or 0:,} out"
    made = str(report.total_attempts)
    facts = (
        (f"pass@{report.k}", f"{report.pass_at_k:.1%}"),
        (
            "Attempts",
            made if report.is_complete else f"{made} of {report.planned_attempts}: it was cancelled",
        ),
        ("Passes of all attempts", f"{report.pass_rate:.1%}"),
        ("Attempts that failed", str(report.errors)),
        ("Mean score", f"{report.mean_score:.3f}"),
        ("Latency", f"p50 {report.p50_latency_ms:.0f} ms, p95 {report.p95_latency_ms:.0f} ms"),
        ("Grading", f"p50 {report.p50_grading_ms:.0f} ms"),
        ("Tokens", tokens),
        ("Cost", cost),
    )
    return "<dl>" + "".join([f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts]) + "</dl>"


def _row(result: TaskResult, attempts: list[Attempt]) -> str:
    chance = "" if result.pass_at_k is None else f"{result.pass_at_k:.2f}"
    kind = "passed" if result.passes else "failed"
    details = "".join([_attempt(attempt) for attempt in attempts])
    return (
        f"<tr><td><details><summary>{escape(result.task_id)}</summary>{details}</details></td>"
        f'<td class="number {kind}">{result.passes} of {result.attempts}</td>'
        f'<td class="number">{chance}</td><td class="number">{result.score:.2f}</td>'
        f'<td class="number">{percentile(result.elapsed_ms, 50):.0f}</td></tr>'
    )


def _attempt(attempt: Attempt) -> str:
    kind, word = ("passed", "passed") if attempt.passed else ("failed", "did not pass")
    reason = f": {escape(_cut(attempt.reason))}" if attempt.reason else ""
    error = f"<pre>{escape(_cut(attempt.error))}</pre>" if attempt.error else ""
    text = f"<pre>{escape(_cut(attempt.text))}</pre>" if attempt.text else ""
    return f'<p class="{kind}">Attempt {attempt.number + 1} {word}{reason}</p>{error}{text}'


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}… ({len(text):,} characters)"
