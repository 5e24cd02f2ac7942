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

/** The same of several tests. */
function each(names: string, why: string): Known {
  return Object.fromEntries(
    names
      .trim()
      .split(/\s+/)
      .map((name) => [name, why]),
  );
}

export const posixTests: Known = {
  // what POSIX leaves undefined, or where the test is wrong
  ...each(
    "pthread_attr_setdetachstate/2-1 pthread_cancel/5-1 pthread_create/2-1 pthread_detach/1-1 pthread_detach/4-1",
    "uses a thread that has ended or is detached: undefined, and musl does not look for it",
  ),
  ...each(
    "pthread_detach/4-2 pthread_join/6-2 pthread_kill/6-1",
    "uses a thread that has ended: undefined, and musl does not look for it",
  ),
  "fork/19-1": "uses O_RDWR without <fcntl.h>",
  "pthread_cond_init/1-3": "shares condition variables between processes that are not made for it: undefined",
  "pthread_equal/2-1": "a loop of the test reads a plain variable that another thread sets: the compiler reads it once",
  "pthread_key_create/2-1": "uses a key before it is made: undefined",
  "sigaction/10-1": "a SIGCHLD can be lost in the one before it, which is still pending: standard signals do not queue",
  ...each("sigset/6-1 sigset/7-1 sigset/8-1", "wants SIG_HOLD of a signal that was not blocked before"),
  "strftime/2-1": "gives a buffer of 20 bytes and says that it has 256",

  // what they need is not beside them
  "fork/7-1": "needs its catalogue of messages",
  "mlockall/3-7": "needs its source",
  "sigaltstack/9-1": "needs another program of the suite",

  // as Linux has it
  ...each(
    "mmap/11-4 mmap/11-5",
    "what is written behind the end of a file stays in its last page while that is cached",
  ),
  "mmap/18-1": "root may lock more memory than its limit",
  "mmap/21-1": "the flag that it takes for unknown is MAP_SHARED_VALIDATE",
  "mmap/23-1": "the writing end of a pipe cannot be read: EACCES comes before ENODEV",
  "mmap/28-1": "Linux maps what is behind the end of a file",
  ...each("sem_unlink/3-1 shm_unlink/9-1", "to remove another's file from a sticky folder is EPERM"),
  "sigwaitinfo/6-1": "raise() sends to a thread: SI_TKILL",

  // as musl has it
  "fork/11-1": "the lock of a stream that the forking thread holds is still held in the child",
  ...each(
    "fork/17-1 fork/17-2",
    "sched_setscheduler() fails: Linux would set it for a thread, POSIX wants it for a process",
  ),
  "mmap/31-1": "refuses the length, which is above PTRDIFF_MAX, with ENOMEM before the offset is looked at",
  ...each(
    `
      pthread_attr_getstack/1-1 pthread_attr_setstack/1-1 pthread_attr_setstack/2-1
      pthread_attr_setstack/4-1 pthread_attr_setstack/6-1 pthread_attr_setstack/7-1
    `,
    "there is no address of a stack to tell before one is set",
  ),
  "pthread_attr_setschedpolicy/4-1": "an unknown policy is refused when a thread is made, not before",
  "pthread_attr_setstacksize/2-1": "pthread_getattr_np, which is not of POSIX, tells what is left of the stack",
  "pthread_attr_setstacksize/4-1": "the least stack is smaller than a page: what the test computes is negative",
  ...each(
    "pthread_mutex_init/1-2 pthread_mutex_init/3-2 pthread_setcanceltype/1-1",
    "a thread that waits for a mutex is not cancelled, also when it may be at any time",
  ),
  ...each(
    `
      pthread_mutex_getprioceiling/1-1 pthread_mutexattr_getprioceiling/1-1
      pthread_mutexattr_getprioceiling/1-2 pthread_mutexattr_getprioceiling/3-1
      pthread_mutexattr_setprioceiling/1-1 pthread_mutexattr_setprioceiling/3-1
      pthread_mutexattr_setprioceiling/3-2 pthread_mutexattr_getprotocol/1-2
      pthread_mutexattr_setprotocol/1-1
    `,
    "mutexes have no priority ceilings",
  ),
  ...each("pthread_rwlock_rdlock/2-1 pthread_rwlock_rdlock/2-2", "readers do not wait for a writer that waits"),
  "pthread_rwlock_wrlock/3-1": "a thread that locks twice waits for itself, as POSIX allows",
  "sem_init/7-1": "there may be as many semaphores as memory has room for",
  "sem_unlink/5-1": "nothing is put in front of the name, so that it is not too long: ENOENT",
  ...each("shm_open/39-2 shm_unlink/10-2", "a name with a slash inside, of whatever length, is EINVAL"),
  "sigpause/4-1": "does not look at the number, and waits",
};

export const libcTestsuite: Known = {
  sscanf: "a line that picolibc added: it counts the width of %lc in wide characters, musl in bytes",
};
