/**
 * The one stylesheet of the pages: no inline style is allowed. 8 px grid, 16 px body, scale 1.2. Colours pass 4.5:1 in
 * both themes and never say something alone.
 */
export const STYLE = `
:root { color-scheme: light dark; --ink: #1d2327; --soft: #5a646b; --paper: #fdfbf7; --card: #fff; --line: #d9d2c4;
  --edge: #7d7768; --accent: #0b5f66; --on-accent: #fff; --code: #f3efe7; --ok: #1e6b3a; --warn: #8a4b00; --stop: #a1241c;
  --ok-bg: #eaf5ee; --warn-bg: #fdf1e0; --stop-bg: #fcecea; --info-bg: #e6f2f3; }
@media screen and (prefers-color-scheme: dark) { :root { --ink: #e8e6e1; --soft: #a9b2b8; --paper: #0e141b; --card: #151d26;
  --line: #2b3743; --edge: #7f8c97; --accent: #6fd0d6; --on-accent: #06282b; --code: #1b2530; --ok: #7fd49b; --warn: #f0b467;
  --stop: #ff9d94; --ok-bg: #12291c; --warn-bg: #2e2110; --stop-bg: #331a17; --info-bg: #112a2d; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; min-height: 100vh; display: flex; flex-direction: column; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Noto Sans CJK SC", sans-serif; }
a { color: var(--accent); text-underline-offset: .15em; }
a:focus-visible, button:focus-visible, input:focus-visible, select:focus-visible, textarea:focus-visible,
summary:focus-visible, pre:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
main:focus, .notice:focus, h3:focus { outline: none; }
.skip { position: absolute; inset-inline-start: -99rem; }
.skip:focus { inset-inline-start: 1rem; top: 1rem; background: var(--card); padding: .5rem 1rem; z-index: 1; }
.hide { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.top { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem 1.5rem; padding: .75rem 1.5rem;
  background: var(--card); border-bottom: 1px solid var(--line); }
.brand { display: inline-flex; align-items: center; gap: .5rem; min-height: 2.75rem; font-weight: 700; font-size: 1.2rem;
  color: var(--ink); text-decoration: none; overflow-wrap: anywhere; }
.brand img { height: 2rem; width: auto; max-width: 10rem; object-fit: contain; }
.top nav { flex: 1; min-width: 0; }
nav ul, footer ul { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; }
.top nav a { display: inline-block; padding: .5rem 0; text-decoration: none; border-bottom: 2px solid transparent; }
.top nav a[aria-current] { border-bottom-color: var(--accent); font-weight: 600; }
main { flex: 1; width: 100%; max-width: 68rem; margin: 0 auto; padding: 2rem 1.5rem 4rem; min-width: 0; }
main.narrow { max-width: 34rem; }
main p, main li, main dd { max-width: 70ch; overflow-wrap: anywhere; }
footer { display: flex; flex-wrap: wrap; gap: .5rem 2rem; padding: 1rem 1.5rem; border-top: 1px solid var(--line); font-size: .875rem; color: var(--soft); }
footer a { display: inline-block; padding: .25rem 0; } footer p { margin: .25rem 0; }
footer a[aria-current] { color: var(--ink); text-decoration: none; font-weight: 600; }
h1 { font-size: 2.07rem; line-height: 1.2; margin: 0 0 1.25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.44rem; line-height: 1.25; margin: 0 0 .75rem; }
h3 { font-size: 1.2rem; margin: 1.5rem 0 .5rem; }
.lead { font-size: 1.1rem; color: var(--soft); margin: -.75rem 0 1.5rem; }
.soft, .hint { color: var(--soft); } .hint { font-size: .875rem; margin: 0 0 .375rem; } label .hint { display: block; margin: .125rem 0 0; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: 1.5rem; margin: 1.5rem 0; }
.card > :last-child, .card > form:last-child > :last-child { margin-bottom: 0; }
#secure { border-inline-start: 4px solid var(--stop); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(14rem, 1fr)); gap: 1rem; } .cards .card { margin: 0; }
.number { font-size: 1.73rem; font-weight: 600; font-variant-numeric: tabular-nums; margin: 0; }
code, pre { font: .875rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; background: var(--code); border-radius: .25rem; }
code { padding: .1rem .25rem; overflow-wrap: anywhere; } pre { padding: 1rem; overflow-x: auto; margin: .5rem 0 1rem; }
pre code { padding: 0; background: none; } .copy { user-select: all; } pre.copy { white-space: pre-wrap; overflow-wrap: anywhere; }
form { margin: 0; }
.field { margin: 0 0 1.25rem; } .field label { display: block; font-weight: 600; margin-bottom: .25rem; }
.field label .soft { font-weight: 400; }
input, select, textarea { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--edge); border-radius: .375rem;
  padding: .5rem .75rem; width: 100%; max-width: 30rem; min-height: 2.75rem; }
textarea { max-width: 100%; resize: vertical; line-height: 1.5; }
input[type=color] { padding: .25rem; width: 5rem; }
.box { display: grid; grid-template-columns: auto 1fr; gap: 0 .75rem; align-items: start; } .box .error { grid-column: 1 / -1; }
.box label { font-weight: 400; margin: 0; padding-top: .15rem; } input[type=checkbox], input[type=radio] { width: 1.5rem; height: 1.5rem; min-height: 0; margin: 0; accent-color: var(--accent); }
.wrong { border-inline-start: 4px solid var(--stop); padding-inline-start: calc(1rem - 4px); margin-inline-start: -1rem; } .wrong input, .wrong select, .wrong textarea { border-color: var(--stop); }
fieldset { border: 0; padding: 0; margin: 0 0 1.25rem; min-width: 0; } legend { font-weight: 600; padding: 0; margin-bottom: .5rem; }
.error { color: var(--stop); font-weight: 600; margin: 0 0 .375rem; }
button, .button { font: inherit; font-weight: 600; min-height: 2.75rem; padding: .5rem 1.25rem; border-radius: .375rem; border: 1px solid var(--accent);
  background: var(--accent); color: var(--on-accent); cursor: pointer; text-decoration: none; display: inline-block; max-width: 100%; overflow-wrap: break-word; }
.button { display: inline-flex; align-items: center; justify-content: center; } button.quiet, .button.quiet { background: transparent; color: var(--accent); }
button.danger { background: transparent; color: var(--stop); border-color: var(--stop); }
.actions { display: flex; flex-wrap: wrap; gap: .75rem; align-items: center; margin: 1rem 0; } .actions form { display: contents; }
.notice { display: grid; grid-template-columns: auto 1fr; gap: 0 .75rem; padding: 1rem; margin: 0 0 1.5rem; border-radius: .375rem; border-inline-start: 4px solid var(--accent); background: var(--info-bg); }
.notice > span { font-weight: 700; width: 1.5rem; height: 1.5rem; line-height: 1.5rem; text-align: center; } .notice h2 { font-size: 1.2rem; margin: 0 0 .25rem; }
.notice p:last-child, .notice ul:last-child { margin-bottom: 0; } .notice p:first-child { margin-top: 0; } .notice ul { padding-inline-start: 1.25rem; margin: 0; }
.notice.ok { border-color: var(--ok); background: var(--ok-bg); } .notice.warn { border-color: var(--warn); background: var(--warn-bg); }
#receipt-check { font-weight: 600; border-inline-start: 4px solid var(--accent); padding-inline-start: 1rem; }
#receipt-check[data-verified=true] { color: var(--ok); border-color: var(--ok); } #receipt-check[data-verified=false] { color: var(--stop); border-color: var(--stop); }
.notice.stop { border-color: var(--stop); background: var(--stop-bg); } .notice.stop a { color: var(--stop); }
.pill { display: inline-block; padding: .05rem .6rem; border-radius: 1rem; font-size: .875rem; font-weight: 600; border: 1px solid currentColor; white-space: nowrap; }
.pill.ok { color: var(--ok); } .pill.warn { color: var(--warn); } .pill.stop { color: var(--stop); } .pill.info { color: var(--soft); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; margin: 0 0 1rem; }
th, td { text-align: start; vertical-align: top; padding: .6rem .75rem .6rem 0; border-top: 1px solid var(--line); overflow-wrap: anywhere; }
thead td { border: 0; } thead th { border-top: 0; color: var(--soft); font-weight: 600; font-size: .875rem; }
td .keep { overflow-wrap: normal; } td button { min-height: 2.25rem; padding: .25rem .75rem; }
.empty { padding: 1.5rem; border: 1px dashed var(--edge); border-radius: .5rem; color: var(--soft); margin: 0 0 1rem; } .empty > :first-child { margin-top: 0; } .empty > :last-child { margin-bottom: 0; }
.facts { margin: 0 0 1rem; } .facts > div { display: grid; grid-template-columns: minmax(8rem, 14rem) 1fr; gap: .25rem 1rem; padding: .5rem 0; border-top: 1px solid var(--line); }
.facts > div:first-child { border-top: 0; } .facts a { display: inline-block; } .pill + form { margin-top: .5rem; } dt { color: var(--soft); } dd { margin: 0; }
details { margin: 0 0 1rem; } summary { cursor: pointer; padding: .5rem 0; font-weight: 600; }
.diff { white-space: pre-wrap; overflow-wrap: anywhere; max-width: 70ch; margin: 0 0 1rem; padding: 1rem; border: 1px solid var(--line); border-radius: .375rem; }
.brand-links { margin: 1.5rem 0; } blockquote { margin: 0 0 1rem; padding: .25rem 1rem; border-inline-start: 4px solid var(--line); }
.legal { max-width: 70ch; } .legal h2 { margin-top: 2rem; } ins { background: var(--ok-bg); color: var(--ok); } del { background: var(--stop-bg); color: var(--stop); }
.qr { forced-color-adjust: none; background: #fff; padding: 1rem; width: 12rem; max-width: 100%; border-radius: .375rem; }
.out { margin-inline-start: auto; }
.sub { margin: 0 0 1.5rem; padding-bottom: .5rem; border-bottom: 1px solid var(--line); } .sub a { display: inline-block; padding: .25rem 0; }
.sub a[aria-current], main p > a[aria-current] { color: var(--ink); font-weight: 600; text-decoration: none; }
@media (min-width: 60rem) { td { min-width: 5rem; } th { overflow-wrap: normal; } }
@media (max-width: 40rem) {
  .top { padding: .5rem 1rem; } .top nav { order: 1; flex-basis: 100%; } footer { padding: 1rem; } main { padding: 1.5rem 1rem 3rem; } .card { padding: 1rem; } h1 { font-size: 1.73rem; }
  thead { position: absolute; inset-inline-start: -99rem; } tr { display: block; border: 1px solid var(--line); border-radius: .5rem; padding: .5rem 1rem; margin: 0 0 .75rem; background: var(--card); }
  .pill { white-space: normal; }
  td { display: grid; grid-template-columns: minmax(5rem, 30%) minmax(0, 1fr); gap: .5rem; border: 0; padding: .25rem 0; } td > .pill { justify-self: start; } td::before { content: attr(data-label); color: var(--soft); font-size: .875rem; }
  td[data-label=""] { display: block; } td:has(> div:empty) { display: none; } td[data-label=""]::before { content: none; }
  .facts > div { grid-template-columns: 1fr; gap: 0; } .actions button, .actions .button, main form > button, p > .button { width: 100%; text-align: center; } main td form > button { width: auto; }
}
@media (prefers-reduced-motion: no-preference) { a, button { transition: background-color .12s, color .12s; } }
@media (forced-colors: active) { .top nav a:not([aria-current]) { border-color: Canvas; } }
@media print { :root { color-scheme: light; } .top, footer, .actions { display: none; } }
`;
