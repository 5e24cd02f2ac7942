/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * What is remembered of a machine by name, in a folder of its own below /run/anvil-vmm: `sock` is the API of its monitor,
 * `console` its serial port, `vsock` the host's end of its vsock, `output` what the monitor printed, `process` the monitor's
 * process number and start time, by which it is told from a later process with the same number.
 */
#ifndef ANVILCTL_STATE_H
#define ANVILCTL_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "anvil_vmm.h"

/* Another folder, for tests and users other than root: ANVIL_VMM_RUN. */
#define STATE_FOLDER          "/run/anvil-vmm"
#define STATE_FOLDER_VARIABLE "ANVIL_VMM_RUN"

/* A socket's path may have 107 bytes; vsock adds "_4294967295" to it. */
#define NAME_MAX_BYTES 32
#define STATE_PATH     108

struct machine {
	char name[NAME_MAX_BYTES + 1];
	char folder[STATE_PATH];
	char socket[STATE_PATH];
	char console[STATE_PATH];
	char vsock[STATE_PATH];
	char output[STATE_PATH];
	pid_t pid; /* 0 when its monitor has ended */
};

/* Up to 32 of A-Za-z0-9-, not beginning with `-`. */
bool name_is_valid(const char *name);

/* The paths of a machine, whether it is there or not. Fails with E_VMM_NAME. */
bool machine_paths(const char *name, struct machine *machine, struct anvil_vmm_error *error);

/* A machine that was booted by name; `pid` says whether it runs. Fails with E_VMM_UNKNOWN. */
bool machine_find(const char *name, struct machine *machine, struct anvil_vmm_error *error);

/* As machine_find, for one that runs. Fails with E_VMM_ENDED too, with the last words of its monitor. */
bool machine_running(const char *name, struct machine *machine, struct anvil_vmm_error *error);

/*
 * Makes its folder, in place of one whose monitor has ended, and returns a descriptor that holds the name until it is closed,
 * or -1. Fails with E_VMM_RUNNING, E_VMM_SYSTEM, also when the folder of all machines is one in which others may write.
 */
int machine_create(struct machine *machine, struct anvil_vmm_error *error);

/* Remembers the process. */
bool machine_started(struct machine *machine, pid_t pid, struct anvil_vmm_error *error);

/* Removes the folder with all that is in it. */
void machine_remove(const struct machine *machine);

/* Calls for each machine, in the order of their names; false when the folder cannot be read. */
bool machines_each(void (*call)(const struct machine *machine), struct anvil_vmm_error *error);

/* A child of the process, and its user: of a monitor, the process in which its guest runs. 0 when there is none. */
pid_t process_child(pid_t pid, uid_t *user);

/* A descriptor that becomes readable when the process ends; -1 when it has. */
int process_open(pid_t pid);

/* Whether it ends within the time. */
bool process_ends(int process, int timeout_ms);

/* The last line that the monitor printed, or an empty one. */
void last_words(const struct machine *machine, char *line, size_t size);

#endif
