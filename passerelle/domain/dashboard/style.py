"""How the page looks: light and dark, wide and narrow, on screens and on paper."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #566070; --line: #d9dee5; --ground: #f6f7f9; --card: #fff;
  --good: #15803d; --minor: #7a5c00; --moderate: #a8480a; --major: #b3161b; --focus: #1d4ed8;
  --minor-fill: #fbe9a9; --moderate-fill: #fbc48a; --major-fill: #f3989b; --good-fill: #d9f2e1; --tint: 37 99 235;
  --c0: #1d5fc4; --c1: #b4530b; --c2: #12806a; --c3: #8b3fb5; --c4: #c02662; --c5: #5b6470; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7eaee; --soft: #9ba6b3; --line: #333b45; --ground: #101418;
  --card: #181d23; --good: #5fd08a; --minor: #e8c65a; --moderate: #fba94c; --major: #ff8d8d; --focus: #8ab4ff;
  --minor-fill: #57470f; --moderate-fill: #743a0c; --major-fill: #8c2126; --good-fill: #14391f; --tint: 96 165 250;
  --c0: #75a9ff; --c1: #fba94c; --c2: #4fd1b5; --c3: #cf9bf2; --c4: #ff86b3; --c5: #a9b3bf; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; color: var(--ink); background: var(--ground);
  margin: 0 auto; padding: 1.2rem clamp(.8rem, 3vw, 2rem) 3rem; max-width: 84rem; overflow-wrap: anywhere; }
a { color: inherit; } :focus-visible { outline: 3px solid var(--focus); outline-offset: 1px; border-radius: 3px; }
h1 { font-size: 1.5rem; line-height: 1.2; margin: 0; } h2 { font-size: 1.05rem; margin: 2rem 0 .6rem; }
h3 { font-size: .9rem; margin: 0 0 .3rem; } p { margin: .2rem 0; } small, .soft { color: var(--soft); }
.aside { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
header { display: flex; flex-wrap: wrap; gap: .3rem 1.5rem; justify-content: space-between; align-items: end; }
nav a { margin-right: .7rem; white-space: nowrap; } nav a[aria-current] { font-weight: 650; text-decoration: none; }
.verdict { margin: 1rem 0 0; padding: .8rem 1rem; border-radius: .5rem; border-left: .45rem solid; font-size: 1.2rem;
  font-weight: 650; background: var(--card); } .verdict small { display: block; font-weight: 400; font-size: .9rem; }
.good { color: var(--good); } .minor { color: var(--minor); } .moderate { color: var(--moderate); }
.major { color: var(--major); } .verdict.good { background: var(--good-fill); }
.troubles { list-style: none; margin: .6rem 0 0; padding: 0; display: grid; gap: .5rem; }
.troubles li { background: var(--card); border: 1px solid var(--line); border-left: .45rem solid var(--major);
  border-radius: .4rem; padding: .55rem .8rem; } .troubles li.moderate { border-left-color: var(--moderate); }
.troubles li.good { border-left-color: var(--good); } .troubles li.minor { border-left-color: var(--minor); }
.troubles li > * { color: var(--ink); }
.troubles dl { margin: .2rem 0 0; display: grid; grid-template-columns: max-content 1fr; gap: 0 .7rem; }
dt { color: var(--soft); } dd { margin: 0; } .badge { font-size: .75rem; font-weight: 700; letter-spacing: .03em;
  text-transform: uppercase; margin-right: .4rem; } li .badge.major { color: var(--major); }
li .badge.moderate { color: var(--moderate); } li .badge.minor { color: var(--minor); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: .7rem; margin-top: 1rem; }
.card, .panel { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .7rem .9rem; }
.card b { display: block; font-size: 1.3rem; line-height: 1.3; } .card h3 { color: var(--soft); font-weight: 500; }
.panels { display: grid; grid-template-columns: repeat(24, 1fr); gap: .7rem; }
.panel { grid-column: span var(--w); min-width: 0; } .panel h3 { font-weight: 650; }
.graph { width: 100%; height: auto; display: block; } .line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.grid { stroke: var(--line); fill: none; } .tick { fill: var(--soft); font-size: 11px; } .told { fill: transparent; }
.told:hover { fill: rgb(var(--tint) / .10); } .limit { stroke: var(--major); stroke-dasharray: 5 4; fill: none; }

.limit-name { fill: var(--major); paint-order: stroke; stroke: var(--card); stroke-width: 3px; }
.band { opacity: .15; stroke: none; } .whisker { opacity: .6; stroke-width: 1; }
.c0 { stroke: var(--c0); } .c1 { stroke: var(--c1); } .c2 { stroke: var(--c2); } .c3 { stroke: var(--c3); }
.c4 { stroke: var(--c4); } .c5 { stroke: var(--c5); } .dot, .band { stroke: none; }
.dot.c0, .band.c0 { fill: var(--c0); }
.dot.c1, .band.c1 { fill: var(--c1); } .dot.c2, .band.c2 { fill: var(--c2); } .dot.c3, .band.c3 { fill: var(--c3); }
.dot.c4, .band.c4 { fill: var(--c4); } .dot.c5, .band.c5 { fill: var(--c5); }
.legend, .key-list { list-style: none; margin: .2rem 0 0; padding: 0; font-size: .85rem; }
.legend li { display: flex; flex-wrap: wrap; gap: 0 .45rem; align-items: center; } .key { width: 26px; height: 8px; }
.key-list { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; margin-top: .5rem; }
.key-list .cell { display: inline-block; width: 1.6rem; text-align: center; border-radius: 3px; }
.empty { color: var(--soft); padding: 1.5rem 0; }
.scroll, .wide { position: relative; }
.scroll { overflow-x: auto; display: flex; flex-direction: row-reverse; justify-content: flex-start; }
.scroll > table { margin-right: auto; flex: none; }
table { border-collapse: collapse; } th { text-align: left; font-weight: 600; } .map { border-collapse: separate;
  border-spacing: 2px; font-size: .82rem; font-variant-numeric: tabular-nums; }
.map th[scope=row] { position: sticky; left: 0; background: var(--card); padding-right: .7rem; white-space: nowrap;
  max-width: 12rem; overflow: hidden; text-overflow: ellipsis; z-index: 1; font-weight: 500; }
.map thead th { font-weight: 500; color: var(--soft); font-size: .75rem; line-height: 1.2; text-align: center;
  vertical-align: bottom; white-space: nowrap; } .map thead th:first-child { text-align: left; position: sticky;
left: 0; background: var(--card); z-index: 1; }
.cell { text-align: center; white-space: nowrap; border-radius: 3px; color: var(--ink); } .map td { min-width: 2.7rem;
  padding: 0; height: 1.75rem; } .cell a { display: block; padding: .2rem .3rem; text-decoration: none;
  border-radius: 3px; } .cell a:hover { text-decoration: underline; } .count { text-align: center;
  color: var(--soft); }
.cell.minor { background: var(--minor-fill); } .cell.moderate { background: var(--moderate-fill); font-weight: 600; }
.cell.major { background: var(--major-fill); font-weight: 700; } .cell.none { background: var(--good-fill); }
.cell.t0 { background: rgb(var(--tint) / .04); } .cell.t1 { background: rgb(var(--tint) / .12); }
.cell.t2 { background: rgb(var(--tint) / .2); } .cell.t3 { background: rgb(var(--tint) / .28); }
.cell.t4 { background: rgb(var(--tint) / .36); } .cell.t5 { background: rgb(var(--tint) / .44); }
.cell.void { color: var(--soft);
  background: repeating-linear-gradient(45deg, transparent 0 4px, var(--line) 4px 5px); }
.key-list .cell { height: 1.2rem; line-height: 1.2rem; vertical-align: middle; } #more { margin: 0 .4rem .5rem 0; }
.more { display: none; } #more:checked ~ .scroll .more { display: table-row-group; }
.wide { overflow-x: auto; overflow-wrap: normal; } .wide table { width: 100%; min-width: 40rem; }
.wide td, .wide th { padding: .35rem .7rem .35rem 0;
  border-bottom: 1px solid var(--line); vertical-align: top; } .wide th { color: var(--soft); font-weight: 500; }
.state, .number { white-space: nowrap; } .number { text-align: right; white-space: nowrap; }
summary { cursor: pointer; margin: .6rem 0; }
footer { margin-top: 2rem; color: var(--soft); font-size: .85rem; }
@media (max-width: 60rem) { .panel { grid-column: span 12; } .panel.whole { grid-column: 1 / -1; } }
@media (max-width: 42rem) { .panel { grid-column: 1 / -1; } .map th[scope=row] { max-width: 7.5rem; }
  .wide { font-size: .85rem; } }
@media print { body { background: none; } nav, .told { display: none; } .card, .panel { break-inside: avoid; } }
"""
