"""The report of a run: one HTML file that needs no network."""

import html

from plotly.offline import get_plotlyjs

from jaxga.report import figures, sections
from jaxga.report.summary import title
from jaxga.runs.draft import draft
from jaxga.runs.history import History
from jaxga.runs.saved import SavedRun


def write_report(run: SavedRun, history: History) -> None:
    """``report.html`` in the run's folder; ``history``: whole trainings, or a sample of them."""
    with draft(run.path / "report.html") as made:
        made.write_text(_page(run, history), encoding="utf-8")


def _page(run: SavedRun, history: History) -> str:
    return _PAGE.format(
        title=html.escape(title(run, history)),
        summary=sections.summary(run, history),
        sections="\n".join(_section(*section) for make in sections.SECTIONS for section in make(run, history)),
        plotly=get_plotlyjs(),
        style=_STYLE,
    )


def _section(title: str, text: str, drawn: list[figures.Figure]) -> str:
    parts = "".join(f"<div class='figure'>{figures.as_html(figure)}</div>" for figure in drawn)
    body = f"<div class='figures'>{parts}</div>" if parts else ""
    return f"<section><h2>{html.escape(title)}</h2>{text}{body}</section>"


_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #f3f5f9; color: #1d2433; font: 15px/1.5 system-ui, -apple-system, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 24px 16px 48px; }
h1 { font-size: 26px; line-height: 1.25; margin: 8px 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 0 0 4px; }
h3 { font-size: 14px; margin: 8px 0 0; }
.facts h3 { margin: 0; }
p { margin: 0 0 10px; color: #4a5365; overflow-wrap: anywhere; }
.about { font-size: 13px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 16px 0; }
.tile { background: white; border-radius: 10px; padding: 12px; box-shadow: 0 1px 3px #0001; }
.tile b { display: block; font-size: 20px; color: #0b4f7d; }
.tile strong { display: block; font-size: 12.5px; font-weight: 600; }
.tile span { display: block; font-size: 12.5px; line-height: 1.35; color: #5a6375; }
.tile b, .tile strong, .tile span { overflow-wrap: anywhere; }
section { background: white; border-radius: 10px; padding: 18px; margin: 16px 0; box-shadow: 0 1px 3px #0001; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); gap: 12px; }
.figure { min-width: 0; overflow-x: auto; overflow-y: hidden; }
table { border-collapse: collapse; margin-top: 8px; font-size: 14px; color: #1d2433; }
td { padding: 3px 18px 3px 0; border-bottom: 1px solid #e6e9ef; overflow-wrap: anywhere; vertical-align: top; }
.setting tbody { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 230px), 1fr)); gap: 0 28px; }
.by-part tbody { grid-template-columns: repeat(auto-fill, minmax(min(100%, 320px), 1fr)); }
.setting tr { display: flex; justify-content: space-between; border-bottom: 1px solid #e6e9ef; }
.setting td { border: 0; }
.setting td:first-child { flex: none; max-width: 65%; }
.setting td + td { padding-right: 0; text-align: right; }
.setting table { width: 100%; }
.facts { columns: 3 300px; column-gap: 28px; }
.facts div { break-inside: avoid; padding-bottom: 16px; }
.facts table { margin-top: 2px; font-size: 13px; width: 100%; }
.facts td { font-weight: normal; }
.facts td:first-child { width: 42%; color: #5a6375; }
"""
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{style}</style>
<script>{plotly}</script>
</head>
<body><main><h1>{title}</h1>
{summary}
{sections}
</main>
<script>
// Each figure was drawn as wide as the page, before the next one in its row existed.
addEventListener("load", () => document.querySelectorAll(".js-plotly-plot").forEach((p) => Plotly.Plots.resize(p)));
</script>
</body>
</html>
"""
