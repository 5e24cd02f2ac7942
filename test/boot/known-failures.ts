/** Tests of others that fail in the Monolith, by name, each with the reason. */
export type Known = Readonly<Record<string, string>>;

/** The same at each level of optimisation. */
function everyLevel(tests: Known): Known {
  const levels = ["O0", "O1", "O2", "O3", "Os"];
  return Object.fromEntries(
    Object.entries(tests).flatMap(([test, why]) => levels.map((level) => [`${level}/${test}`, why] as const)),
  );
}

export const gccTorture: Known = everyLevel({});

export const posixTests: Known = {};

export const libcTestsuite: Known = {};
