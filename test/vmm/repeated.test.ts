import { test } from "node:test";
import { assertNothingGrows } from "./repeated.ts";

test("guests that come and go leave no process, file or thread behind", (t) => assertNothingGrows(t, 3, 20));
