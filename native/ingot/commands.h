/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * The commands that a host and a person in the system give alike.
 */
#ifndef INGOT_COMMANDS_H
#define INGOT_COMMANDS_H

#include <stdbool.h>
#include <stdint.h>

#include "fault.h"
#include "report.h"

/* A line per version: name, version, 12 digits of the key, state, bytes on disk; of an incoming one also its chunks. */
bool command_list(const struct report *report, struct fault *fault);

/* Reads every file of one ingot, or of all (NULL), and compares it with its signed manifest. A line per version. */
bool command_verify(const char *name, const struct report *report, struct fault *fault);

bool command_rollback(const char *name, const struct report *report, struct fault *fault);

/*
 * All of an ingot, or (key not NULL: at least 8 digits of it) one version that is not active. Data go only when that is
 * said, with `data`, and with all of it.
 */
bool command_remove(const char *name, const char *key, bool data, const struct report *report, struct fault *fault);

/*
 * Opens a file below the data of an ingot for reading. The path is percent-encoded as in a manifest and is decoded in
 * place. Nothing outside of the data is reached, and no link is followed. The descriptor, or -1.
 */
int command_open_data(const char *name, char *path, uint64_t *size, struct fault *fault);

/* Adds an ingot from a file. */
bool command_add(const char *file, bool allow_downgrade, const struct report *report, struct fault *fault);

/* Ends what killed commands left half-done. */
bool command_settle(struct fault *fault);

#endif
