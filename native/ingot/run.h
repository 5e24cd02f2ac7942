/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * Other programs: by posix_spawn, with fixed arguments and a fixed environment, without a shell.
 */
#ifndef INGOT_RUN_H
#define INGOT_RUN_H

#include <stdbool.h>
#include <stddef.h>

#include "fault.h"

struct run {
	int status; /* exit status, 128 + signal, or 127 when it could not be started */
	bool timed_out; /* it was killed, with all that it had started */
	size_t length;
	char output[4096]; /* the beginning of what it printed, ended by NUL; the rest is thrown away */
};

/* Runs argv[0], an absolute path, in a folder (or "/" when NULL) and waits for it; 0 seconds: as long as it takes. */
void run_program(const char *const argv[], const char *folder, unsigned seconds, struct run *run);

/* As above for `zfs` and `zpool`: what is printed goes to `output`, cut off at `size`. E_INGOT_ZFS with their words. */
bool run_zfs(const char *const argv[], char *output, size_t size, struct fault *fault);

#endif
