/** The reference page's one stylesheet: the page allows no inline style. Colours pass 4.5:1 in both themes. */
export const STYLE = `
:root { color-scheme: light dark; --ink: #1d2327; --soft: #5a646b; --paper: #fdfbf7; --card: #fff; --line: #ddd6c9;
  --accent: #0b5f66; --code: #f3efe7; --ok: #1e6b3a; --warn: #8a4b00; --stop: #a1241c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e6e1; --soft: #a9b2b8; --paper: #0e141b; --card: #151d26;
  --line: #2b3743; --accent: #6fd0d6; --code: #1b2530; --ok: #7fd49b; --warn: #f0b467; --stop: #ff9d94; } }
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
a { color: var(--accent); }
a:focus-visible, summary:focus-visible, pre:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: 1rem; background: var(--card); padding: .5rem 1rem; }
.frame { display: grid; grid-template-columns: 17rem minmax(0, 1fr); max-width: 78rem; margin: 0 auto; }
nav { padding: 2rem 1rem; border-inline-end: 1px solid var(--line); font-size: .875rem; }
nav ul { list-style: none; margin: 0 0 1rem; padding: 0; }
nav li { padding: .2rem 0; overflow-wrap: anywhere; }
nav h2 { font-size: .875rem; margin: 1rem 0 .25rem; color: var(--soft); }
main { padding: 2rem 1.5rem 6rem; min-width: 0; }
main > p, .about p { max-width: 70ch; }
h1 { font-size: 2.07rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.44rem; margin: 3rem 0 .5rem; }
h3 { font-size: 1.2rem; margin: 0 0 .25rem; }
h4 { font-size: 1rem; margin: 1.25rem 0 .25rem; }
article { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: 1.25rem; margin: 1rem 0; }
code, pre { font: .875rem/1.5 ui-monospace, monospace; background: var(--code); border-radius: .25rem; }
code { padding: .1rem .25rem; overflow-wrap: anywhere; }
pre { padding: 1rem; overflow-x: auto; }
.path { background: none; font-size: 1rem; padding: 0; }
.verb { font: 700 .8rem ui-monospace, monospace; color: var(--card); background: var(--accent); border-radius: .25rem;
  padding: .15rem .4rem; margin-inline-end: .35rem; }
.verb.post { background: var(--ok); } .verb.patch { background: var(--warn); } .verb.delete { background: var(--stop); }
.needs, .soft { color: var(--soft); font-size: .875rem; margin: .25rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: start; vertical-align: top; padding: .4rem .75rem .4rem 0; border-top: 1px solid var(--line); }
thead th { border-top: 0; color: var(--soft); font-weight: 600; }
summary { cursor: pointer; padding: .25rem 0; }
details table { margin-inline-start: 1rem; width: calc(100% - 1rem); }
/* Beside the page the contents are always open; on a phone they would push the page off the first screen. */
@supports selector(::details-content) { @media (min-width: 48.01rem) {
  nav summary { display: none; } nav details::details-content { content-visibility: visible; } } }
@media (max-width: 48rem) {
  .frame { display: block; } nav { border-inline-end: 0; border-bottom: 1px solid var(--line); padding: 1rem; }
  main { padding: 1.5rem 1rem 4rem; } article { padding: 1rem; }
  thead { position: absolute; left: -99rem; } tr { display: block; border-top: 1px solid var(--line); padding: .5rem 0; }
  th, td { display: block; border: 0; padding: .1rem 0; }
}
`;
