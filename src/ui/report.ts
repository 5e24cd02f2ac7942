/**
 * One run as one HTML page that needs nothing else: no script, no other file, no network. Made from the events alone,
 * so that the same events give the same page.
 */
import type { ForgeEvent } from "../forge/events.ts";
import { criticalPath, type Link } from "./critical-path.ts";
import { markup, Markup, type Content } from "./markup.ts";
import { failureLines, secondsOf, stoppedLine, summaryLines } from "./outcome.ts";
import { STYLESHEET } from "./report-style.ts";
import { label, Run, title, type NodeRun } from "./run.ts";
import { barsOf, timeline, type Bar } from "./timeline.ts";
import { count, duration, size } from "./units.ts";
import { clean } from "./width.ts";

/** The page for a run. Events without an end give the page of a run that was stopped. */
export function renderReport(events: Iterable<ForgeEvent>): string {
  const run = new Run();
  for (const event of events) run.apply(event);
  return page(run.plan?.channel ?? "no plan", [
    header(run),
    failureSection(run),
    ...runSections(run),
    proofSection(run),
    noticeSection(run),
    otherSection(run),
  ]);
}

function page(channel: string, content: Content): string {
  return markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8" />
<meta name="viewport" content="width=device-width, initial-scale=1" />
<meta name="color-scheme" content="light dark" />
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'" />
<title>Forge report: ${channel}</title>
<style>${new Markup(STYLESHEET)}</style>
</head>
<body>
<main>
${content}</main>
</body>
</html>
`.source;
}

function section(id: string, heading: string, content: Content): Markup {
  return markup`<section id="${id}">
<h2>${heading}</h2>
${content}
</section>
`;
}

/** A table that scrolls by itself where the page is narrow. Columns whose heading begins with "#" hold numbers. */
function table(headings: readonly string[], rows: readonly (readonly Content[])[]): Markup {
  const isNumber = headings.map((heading) => heading.startsWith("#"));
  const kind = (column: number): string => (isNumber[column] === true ? "number" : "text");
  const names = headings.map(
    (heading, column) => markup`<th class="${kind(column)}">${heading.replace(/^#/, "")}</th>`,
  );
  const body = rows.map(
    (cells) => markup`<tr>${cells.map((cell, column) => markup`<td class="${kind(column)}">${cell ?? "–"}</td>`)}</tr>
`,
  );
  return markup`<div class="scroll"><table>
<thead><tr>${names}</tr></thead>
<tbody>
${body}</tbody>
</table></div>`;
}

function header(run: Run): Markup {
  const { plan, end } = run;
  const outcome = end === undefined ? "stopped" : end.ok ? "good" : "bad";
  const sentence = end === undefined ? stoppedLine(run) : summaryLines(run)[0];
  const channel = plan === undefined ? "none: the run ended before there was a plan" : `${plan.channel}: ${plan.why}`;
  return markup`<header>
<h1>Forge report</h1>
<p class="outcome ${outcome}">${sentence}</p>
<dl>
<dt>Channel</dt><dd>${channel}</dd>
<dt>Jobs</dt><dd>${plan?.jobs ?? "–"}</dd>
<dt>Nodes</dt><dd>${run.nodes.size}, of them ${run.todo} to make</dd>
</dl>
</header>
`;
}

function failureSection(run: Run): Markup | undefined {
  const failed = run.having("failed");
  if (failed.length === 0) return undefined;
  const skipped = run.having("skipped").map(({ node }) => label(node));
  return section("failures", count(failed.length, "failure"), [
    failed.map(
      (node) => markup`<article class="failure">
<h3>${title(node.node)}</h3>
<pre>${failureLines(node).join("\n")}</pre>
</article>
`,
    ),
    skipped.length === 0 ? undefined : markup`<p>Not tried because of that: ${skipped.join(", ")}.</p>`,
  ]);
}

/** What took how long. */
function runSections(run: Run): Content[] {
  const bars = barsOf(run);
  if (bars.length === 0) return [];
  const path = criticalPath(run);
  return [
    section("timeline", "Timeline", timeline(bars, run.t, new Set(path.map((link) => link.run)))),
    path.length < 2 ? undefined : section("critical-path", "Critical path", criticalPathContent(path)),
    section("durations", "Durations", durationTable(bars)),
  ];
}

function criticalPathContent(path: readonly Link[]): Markup {
  const rows = path.map(({ run, waited }) => [title(run.node), duration(waited / 1000), seconds(secondsOf(run))]);
  return markup`<p>Each waited for the one before it; the run gets faster when one of these does.</p>
${table(["Node", "#Stood ready", "#Took"], rows)}`;
}

function durationTable(bars: readonly Bar[]): Markup {
  const slowest = [...bars].sort((a, b) => b.end - b.start - (a.end - a.start));
  const headings = ["Node", "Version", "State", "#Began at", "#Took", "#Processor", "#Cores", "#Size", "Phases"];
  return table(headings, slowest.map(durationCells));
}

function durationCells(bar: Bar): Content[] {
  const { node, status, result } = bar.run;
  const cores = result?.cpu === undefined || result.seconds <= 0 ? undefined : result.cpu / result.seconds;
  return [
    label(node),
    node.version,
    markup`<span class="${status}">${status}</span>`,
    duration(bar.start / 1000),
    seconds(secondsOf(bar.run)),
    seconds(result?.cpu),
    cores?.toFixed(1),
    result === undefined ? undefined : size(result.bytes),
    phaseText(bar),
  ];
}

/** `unpack 2.0s, build 1m 07s`. */
function phaseText({ run, end }: Bar): string {
  return run.phases
    .map(({ phase, from }, index) => `${phase} ${duration(((run.phases[index + 1]?.from ?? end) - from) / 1000)}`)
    .join(", ");
}

function proofSection(run: Run): Markup | undefined {
  const proven = [...run.nodes.values()].filter((node) => node.proofs.length > 0);
  if (proven.length === 0) return undefined;
  const all = proven.flatMap((node) => node.proofs);
  const good = all.filter(({ ok }) => ok).length;
  return section("proofs", "Proofs", [markup`<p>${good} of ${all.length} hold.</p>`, proven.map(proofDetails)]);
}

function proofDetails({ node, proofs }: NodeRun): Markup {
  const bad = proofs.filter(({ ok }) => !ok).length;
  const rows = proofs.map(({ proof, ok, detail }) => [
    ok ? markup`<span class="done">holds</span>` : markup`<span class="failed">does not hold</span>`,
    proof,
    clean(detail),
  ]);
  const note = `${count(proofs.length, "proof")}${bad > 0 ? `, ${bad} not held` : ""}`;
  return markup`
<details${bad > 0 ? markup` open="open"` : undefined}><summary>${label(node)} <small>${note}</small></summary>
${table(["Result", "Proof", "Found"], rows)}
</details>`;
}

/** Notices, and places that could not give a file. */
function noticeSection(run: Run): Markup | undefined {
  const retries = [...run.nodes.values()].flatMap((node) =>
    node.retries.map(({ t, url, why }) => ({
      t,
      text: `${label(node.node)}: ${url}: ${why}`,
    })),
  );
  const all = [...run.notices, ...retries].sort((a, b) => a.t - b.t);
  if (all.length === 0) return undefined;
  const items = all.map(({ t, text }) => markup`<li>${duration(t / 1000)}: ${clean(text)}</li>`);
  return section("notices", "Notices", markup`<ul>${items}</ul>`);
}

/** What this run did not make, for completeness. */
function otherSection(run: Run): Markup | undefined {
  const groups = [
    { heading: "Reused from the store", nodes: run.having("reused") },
    { heading: "Not reached", nodes: run.having("pending") },
  ].filter(({ nodes }) => nodes.length > 0);
  if (groups.length === 0) return undefined;
  const details = groups.map(
    ({ heading, nodes }) => markup`
<details><summary>${heading} <small>${nodes.length}</small></summary>
<p>${nodes.map(({ node }) => title(node)).join(", ")}</p>
</details>`,
  );
  return section("others", "Others", details);
}

function seconds(value: number | undefined): string | undefined {
  return value === undefined ? undefined : duration(value);
}
