/** The look of the report: light and dark by the reader's preference, one column on a telephone. */
export const STYLESHEET = `
:root {
  --page: #fcfcfb; --ink: #1d2126; --soft: #5d6670; --line: #d9dde1; --panel: #f2f3f4;
  --fetch: #6aa5b8; --build: #4468b0; --prove: #8a6bb8; --other: #a9b2bc; --bad: #c2342c; --good: #2e7d4a;
  --critical: #d08a00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #16191d; --ink: #e3e6ea; --soft: #9aa4af; --line: #333a42; --panel: #1f242a;
    --fetch: #4f8a9e; --build: #6286d2; --prove: #a486d4; --other: #6a747f; --bad: #ef6a60; --good: #5fb880;
    --critical: #e5a823;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 0 0 .5rem; }
small, .legend, #critical-path p, #proofs p { color: var(--soft); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: .75rem 0; }
dt { color: var(--soft); }
dd { margin: 0; }
.outcome { font-weight: 600; margin: 0; }
.good, .done { color: var(--good); }
.bad, .failed { color: var(--bad); }
.failure { border-left: 3px solid var(--bad); background: var(--panel); padding: .75rem 1rem; margin: 0 0 1rem; }
pre { margin: 0; overflow-x: auto; font: 13px/1.45 ui-monospace, monospace; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 500; white-space: nowrap; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
details { margin: .25rem 0; }
summary { cursor: pointer; }
.chart { border: 1px solid var(--line); border-radius: 4px; padding: .5rem 1rem .75rem; overflow: hidden; }
.row { display: grid; grid-template-columns: minmax(6rem, 14rem) 1fr; gap: .75rem; align-items: center; height: 1.5rem; }
.name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; text-align: right; font-size: 13px; }
.track { position: relative; height: 100%; margin-right: 4.5rem; }
.axis { color: var(--soft); }
.tick { position: absolute; line-height: 1.5rem; font-size: 12px; border-left: 1px solid var(--line); padding-left: .25rem; white-space: nowrap; }
.bar { position: absolute; top: .3rem; height: .9rem; min-width: 2px; border-radius: 2px; overflow: hidden; background: var(--other); }
.bar.critical { box-shadow: 0 3px 0 var(--critical); }
.bar span { position: absolute; top: 0; height: 100%; }
.time { position: absolute; line-height: 1.5rem; padding-left: .35rem; font-size: 12px; color: var(--soft); white-space: nowrap; }
.item { white-space: nowrap; margin-right: .75rem; }
.key { display: inline-block; width: .8rem; height: .8rem; border-radius: 2px; vertical-align: -1px; }
.bar .fetch, .key.fetch { background: var(--fetch); }
.bar .build, .key.build { background: var(--build); }
.bar .prove, .key.prove { background: var(--prove); }
.bar .other, .key.other { background: var(--other); }
.bar .failed, .key.failed { background: var(--bad); }
.key.critical { height: 3px; background: var(--critical); vertical-align: 3px; }
@media (max-width: 40rem) { main { padding: 1rem; } .row { grid-template-columns: 6rem 1fr; } }
`;
