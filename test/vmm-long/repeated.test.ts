import { test } from "node:test";
import { assertNothingGrows } from "../vmm/repeated.ts";

test("fifty guests that come and go leave no process, file or thread behind", (t) => assertNothingGrows(t, 50, 200));
