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
  "mmap/31-1": "musl refuses the length, which is above PTRDIFF_MAX, with ENOMEM before the offset is looked at",
  "pthread_attr_setstacksize/2-1": "pthread_getattr_np, which is not of POSIX, tells what musl has left of the stack",
  "pthread_mutex_getprioceiling/1-1": noPriorityCeilings,
  "pthread_mutexattr_getprioceiling/3-1": noPriorityCeilings,
  "pthread_mutexattr_setprioceiling/3-2": noPriorityCeilings,
  "sem_unlink/5-1": "the name is not too long for musl, which puts nothing in front of it: ENOENT",
  "shm_unlink/10-2": "musl refuses a name with a slash inside, of whatever length, with EINVAL",
};

export const libcTestsuite: Known = {
  sscanf: "a line that picolibc added: it counts the width of %lc in wide characters, musl in bytes",
};
