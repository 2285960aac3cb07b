"""Reports as one HTML page: no scripts, no other files, light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files

from oracles.report.model import Check, ErrorMap, Report, short_hex
from oracles.report.svg import heat_map, legend
from oracles.report.table import grouped, short

__all__ = ["write_page"]


def write_page(reports: Sequence[Report]) -> str:
    """Write one page that shows one report or several.

    Parameters
    ----------
    reports : sequence of Report

    Returns
    -------
    str
        HTML. All text of the reports is escaped.
    """
    style = files("oracles.report").joinpath("style.css").read_text(encoding="utf-8")
    passed = all(report.passed for report in reports) and bool(reports)
    title = reports[0].title if len(reports) == 1 else f"{len(reports)} reports"
    body = [_overview(reports)] if len(reports) > 1 else []
    body += [_section(report, number) for number, report in enumerate(reports, start=1)]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{'PASSED' if passed else 'FAILED'}: {escape(title)}</title>"
        f"<style>\n{style}</style></head>\n<body>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def _badge(passed: bool) -> str:
    return (
        f'<span class="badge {"ok" if passed else "bad"}">{"PASSED" if passed else "FAILED"}</span>'
    )


def _overview(reports: Sequence[Report]) -> str:
    rows = []
    for number, report in enumerate(reports, start=1):
        rejected = ", ".join(report.evidence(failed=True))
        rows.append(
            f'<tr><td class="text"><a href="#report-{number}">{escape(report.title)}</a></td>'
            f"<td>{len(report.checks)}</td><td>{len(report.failures)}</td>"
            f'<td>{short(report.worst)}</td><td class="text">{escape(rejected)}</td>'
            f"<td>{_badge(report.passed)}</td></tr>"
        )
    return (
        f"<h1>{_badge(all(r.passed for r in reports))} {len(reports)} reports</h1>"
        '<div class="scroll"><table><thead><tr><th>report</th><th>checks</th><th>failed</th>'
        '<th>worst / tolerance</th><th class="text">rejected by</th><th>verdict</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _section(report: Report, number: int) -> str:
    parts = [
        f'<section id="report-{number}"><h1>{_badge(report.passed)} {escape(report.title)}</h1>',
        f'<p class="soft">{len(report.checks)} checks, {len(report.failures)} failed; worst error '
        f"{short(report.worst)} in units of the tolerance (1 is the limit)</p>",
    ]
    if report.settings:
        entries = (
            f"<div><dt>{escape(name)}</dt><dd>{escape(str(value))}</dd></div>"
            for name, value in report.settings.items()
        )
        parts.append(f'<dl class="settings">{"".join(entries)}</dl>')
    parts += [f'<p class="note">{escape(note)}</p>' for note in report.notes]
    if report.failures:
        again = report.replay()
        parts.append("<h2>Failures: the worst of each evidence and output</h2>")
        if again:
            parts.append(f'<p>Replay: <code class="line">{escape(again)}</code></p>')
        parts.append('<div class="failures">')
        parts += [_failure(check) for check in report.worst_failures]
        parts.append("</div>")
    if report.maps:
        parts.append("<h2>Where the errors are, in units of the tolerance</h2>")
        parts.append(f'{legend()}<div class="maps">')
        parts += [_figure(error_map) for error_map in report.maps]
        parts.append("</div>")
    if report.checks:
        parts.append("<h2>Evidence: worst error in units of the tolerance</h2>")
        parts.append(_table(report))
    return "\n".join([*parts, "</section>"])


def _table(report: Report) -> str:
    outputs = list(dict.fromkeys(c.output for c in report.checks if c.output != "call"))
    heads = "".join(f"<th>{escape(output)}</th>" for output in outputs)
    rows = []
    for evidence, members in grouped(report.checks).items():
        checks = [check for cell in members.values() for check in cell]
        worst = max(checks, key=lambda check: (not check.passed, check.worst))
        rows.append(
            f"<tr><th>{escape(evidence)}</th>"
            + "".join(_cell(members.get(output, [])) for output in outputs)
            + f"<td>{sum(check.count for check in checks)}</td>"
            f'<td class="text">{escape(worst.regime)}</td>'
            f"<td>{_badge(all(check.passed for check in checks))}</td></tr>"
        )
    return (
        f'<div class="scroll"><table><thead><tr><th>evidence</th>{heads}<th>points</th>'
        '<th class="text">worst in</th><th>verdict</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cell(checks: list[Check]) -> str:
    if not checks:
        return '<td class="fine"></td>'
    passed = all(check.passed for check in checks)
    by_regime = "\n".join(f"{check.regime}: {check.worst:.3g}" for check in checks)
    return (
        f'<td class="{"fine" if passed else "bad"}" title="{escape(by_regime, quote=True)}">'
        f"{short(max(check.worst for check in checks))}</td>"
    )


def _figure(error_map: ErrorMap) -> str:
    cells = [cell for row in error_map.worst for cell in row if cell == cell]  # NaN: not tried
    worst = max(cells, default=0.0)
    beyond = sum(cell > 1 for cell in cells)
    told = f"worst {short(worst)}, {beyond} of {len(cells)} cells beyond 1"
    return (
        f"<figure><figcaption>{escape(error_map.output)}"
        f'<span class="soft">{told}</span></figcaption>{heat_map(error_map)}</figure>'
    )


def _failure(check: Check) -> str:
    entries = [("message", check.message)] if check.message else []
    where = check.where
    if where is not None:
        inputs = (
            f"{name}={short_hex(value) if isinstance(value, float) else value}"
            for name, value in where.inputs.items()
        )
        entries += [
            ("input", f"element {where.index}: {' '.join(inputs)}"),
            ("got", f"{where.got!r}  ({short_hex(where.got)})"),
            ("expected", f"{where.expected!r}  ({short_hex(where.expected)})"),
            ("tolerance", f"{where.tolerance:.4g}"),
            ("error", f"{where.units:.4g} x tolerance"),
        ]
        if where.shrunk:
            entries.append(("shrunk", where.shrunk))
    told = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in entries)
    return (
        f'<div class="failure"><h3>{escape(check.evidence)}, regime {escape(check.regime)}, '
        f'output {escape(check.output)} <span class="badge bad">{short(check.worst)}</span></h3>'
        f'<p class="soft">{check.failed} of {check.count} beyond the tolerance</p>'
        f"<dl>{told}</dl></div>"
    )
