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

const noPriorityCeilings = "musl has no priority ceilings of mutexes";

export const posixTests: Known = {
  "pthread_mutexattr_getprioceiling/3-1": noPriorityCeilings,
  "pthread_mutexattr_setprioceiling/3-2": noPriorityCeilings,
};

export const libcTestsuite: Known = {};
