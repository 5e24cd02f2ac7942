/** What is kept of a run: its events, for `anvil report`, and how long everything took, for the next run's estimate. */
import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { ForgeEvent } from "../forge/events.ts";
import { replaceFile } from "../host/replace-file.ts";
import { serialiseEvent } from "../ui/json.ts";
import { emptyProfile, mergeProfiles, parseProfile, profileOf, serialiseProfile, type Profile } from "../ui/profile.ts";
import { Run } from "../ui/run.ts";
import type { Project } from "./project.ts";

export class RunRecord {
  /** Of earlier runs. */
  readonly profile: Profile;
  readonly #profileFile: string;
  readonly #events: string;
  readonly #run = new Run();

  constructor(project: Project) {
    this.#profileFile = path.join(project.store.paths.top, "profile.json");
    this.#events = project.lastRunFile;
    this.profile = existsSync(this.#profileFile) ? parseProfile(readFileSync(this.#profileFile, "utf8")) : emptyProfile;
  }

  /** Before the first event. */
  begin(): void {
    // a new file: one of an earlier version could be read by others
    rmSync(this.#events, { force: true });
    writeFileSync(this.#events, "", { mode: 0o600 });
  }

  /** Output lines are in the logs. */
  add(event: ForgeEvent): void {
    this.#run.apply(event);
    if (event.type === "output" || event.type === "progress") return;
    try {
      appendFileSync(this.#events, `${serialiseEvent(event)}\n`);
    } catch {
      /* a report is a convenience: a full disk is told by what needs the space */
    }
  }

  /** Remembers how long it took. */
  learn(): void {
    replaceFile(this.#profileFile, serialiseProfile(mergeProfiles(this.profile, profileOf(this.#run))));
  }
}
