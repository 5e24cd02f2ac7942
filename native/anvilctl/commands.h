/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * What anvilctl does to machines that there are.
 */
#ifndef ANVILCTL_COMMANDS_H
#define ANVILCTL_COMMANDS_H

#include <stdbool.h>

#include "anvil_vmm.h"

/* Which machine: one that was booted by name, or any monitor by its socket. */
struct target {
	const char *name; /* or NULL */
	const char *socket; /* used when there is no name */
	int timeout_ms; /* for a request */
};

bool command_status(const struct target *target, struct anvil_vmm_error *error);
bool command_list(struct anvil_vmm_error *error);

/* "Paused" or "Resumed". */
bool command_state(const struct target *target, const char *state, struct anvil_vmm_error *error);

/*
 * Ctrl-Alt-Del, and waits until the monitor has ended; with `force` it is killed after the limit, at once when that is 0.
 * Fails with E_VMM_PAUSED for a guest that cannot hear it, E_VMM_TIMEOUT.
 */
bool command_stop(const struct target *target, bool force, int limit_ms, struct anvil_vmm_error *error);

/* Prints the body of the answer. `-` as body is standard input. */
bool command_request(
    const struct target *target, const char *method, const char *path, const char *body, struct anvil_vmm_error *error);

/* Joins the terminal with the serial port. `until` may be NULL; `timeout_ms` is for all of it, -1: none. */
bool command_console(const struct target *target, const char *until, int timeout_ms, struct anvil_vmm_error *error);

/* Joins standard input and output with a port of the guest, or with the guest's next connection to a port of the host. */
bool command_vsock(
    const struct target *target, unsigned long port, bool listen, int timeout_ms, struct anvil_vmm_error *error);

/* Says whether guests can run here. */
bool command_check(struct anvil_vmm_error *error);

#endif
