/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * Filling in errors.
 */
#ifndef ANVILCTL_ERROR_H
#define ANVILCTL_ERROR_H

#include "anvil_vmm.h"

/* Returns false, so that a function can return fail(…). The hint may be NULL. */
bool fail(struct anvil_vmm_error *error, const char *code, const char *hint, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Control characters, and what is not UTF-8, become '?': what another process said is shown on a terminal. */
void make_printable(char *text);

#endif
