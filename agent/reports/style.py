"""How a voucher looks: one style sheet for the screen of a phone and for A4 paper, without any other file. Pure."""

from __future__ import annotations

STYLE = """
@page { size: A4; margin: 11mm 14mm 13mm;
  @bottom-right { content: counter(page) " / " counter(pages); font: 8pt sans-serif; color: #555; } }
* { box-sizing: border-box; }
html { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
body { margin: 0; color: #111; background: #eef1f4;
  font: 9pt/1.3 "Noto Sans CJK SC", "Source Han Sans SC", "Microsoft YaHei", "PingFang SC", "Helvetica Neue", Arial,
  sans-serif; }
article { position: relative; max-width: 190mm; margin: 6mm auto; padding: 8mm; background: #fff;
  box-shadow: 0 1px 4px #0003; }
header { display: flex; justify-content: space-between; gap: 6mm; align-items: flex-start;
  border-bottom: 1.5pt solid #111; padding-bottom: 2mm; }
h1 { font-size: 16pt; line-height: 1.2; margin: 0 0 1mm; }
h2 { font-size: 9.5pt; margin: 2.2mm 0 .6mm; color: #1f3a56; break-after: avoid; }
p { margin: 0; }
.stamp { flex: none; white-space: nowrap; border: 1pt solid #111; border-radius: 1mm; padding: 1.5mm 2.5mm;
  text-align: center; font-weight: 600; }
.draft .stamp, .superseded .stamp { border-style: dashed; color: #b3261e; border-color: #b3261e; }
.result { margin-top: 3mm; padding: 1.8mm 3mm; background: #f1f5f9; border-left: 3pt solid #1f5f99; }
.formula { font-size: 14pt; font-weight: 600; font-variant-numeric: tabular-nums; }
.none { color: #b3261e; font-weight: 600; }
section, tr { break-inside: avoid; }
section.list { break-inside: auto; }
dl { margin: 0; display: grid; grid-template-columns: 1fr 1fr; column-gap: 6mm; }
dl div { display: grid; grid-template-columns: 30mm 1fr; gap: 2mm; padding: .35mm 0;
  border-bottom: .25pt solid #d5dbe1; }
dt { color: #555; }
dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.small { font-size: 8pt; }
.small dl { grid-template-columns: 1fr; }
.small dd { font-family: ui-monospace, "DejaVu Sans Mono", "Noto Sans Mono CJK SC", monospace; }
table { width: 100%; border-collapse: collapse; font-size: 8.5pt; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: #555; border-bottom: .75pt solid #111; }
th, td { padding: .5mm 2mm .5mm 0; vertical-align: top; overflow-wrap: break-word; }
.t { white-space: nowrap; }
.w { width: 40%; }
td { border-bottom: .25pt solid #d5dbe1; }
.n { text-align: right; padding-right: 0; padding-left: 1.5mm; }
.plot { width: 100%; height: auto; display: block; }
.plot text { font-size: 9px; fill: #444; font-family: inherit; }
.plot .allowed { fill: #b3261e; }
.legend { font-size: 8pt; color: #555; }
.sign { display: grid; grid-template-columns: repeat(auto-fit, minmax(36mm, 1fr));
  gap: 6mm; margin-top: 3mm; break-inside: avoid; }
.sign div { display: flex; gap: 2mm; align-items: flex-end; }
.sign i { flex: 1; border-bottom: .75pt solid #111; height: 8mm; }
@media screen and (max-width: 600px) { dl { grid-template-columns: 1fr; } article { margin: 0; padding: 4mm; }
  header { flex-wrap: wrap; } .t { white-space: normal; } }
@media print {
  body { background: #fff; }
  article { margin: 0; padding: 0; max-width: none; box-shadow: none; break-after: page; }
  article:last-child { break-after: auto; }
}
"""
