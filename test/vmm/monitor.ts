/** Which program the tests of the API judge. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";

/** Another one than anvil-vmm: the file that `ANVIL_TEST_MONITOR` names, static, as Firecracker is. */
export function otherMonitor(): string | undefined {
  const file = process.env["ANVIL_TEST_MONITOR"];
  if (file === undefined || file === "") return undefined;
  assert.ok(existsSync(file), `ANVIL_TEST_MONITOR: there is no ${file}`);
  return file;
}
