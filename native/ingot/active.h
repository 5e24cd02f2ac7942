/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * Which version of an ingot is used, and the change from one to another. What is used is what the link `active` names,
 * and rename(2) replaces that link: at every moment it names the old one or the new one.
 */
#ifndef INGOT_ACTIVE_H
#define INGOT_ACTIVE_H

#include <stdbool.h>
#include <stddef.h>

#include "fault.h"
#include "manifest.h"
#include "report.h"
#include "store.h"

/* The version that a link ("active", "previous") names; empty and false when there is no such link. */
bool active_key(const char *name, const char *link, char key[KEY_DISK_DIGITS + 1]);

/*
 * The version that is used: the link "active" names it, and a key that the system accepts now has signed it. A version
 * whose key was withdrawn since counts as not active: nothing of it is started, linked or gone back to.
 */
bool active_used(const char *name, char key[KEY_DISK_DIGITS + 1]);

/*
 * Makes a complete version the active one: stops the services of the old one, switches, starts the new services, asks the
 * health program. When that fails the old one is made active again: E_INGOT_HEALTH. The one before becomes `previous`.
 */
bool active_switch(const char *name, const struct manifest *manifest, const char *key, const struct report *report,
    struct fault *fault);

/*
 * Ends what a kill left half-done: a version that was switched to but not found well yet gives way to the one before.
 * `services`: also those that belong to it are started.
 */
bool active_settle(const char *name, bool services, struct fault *fault);

/* Takes away the link, services and programs of an ingot that is about to be removed; and puts them back. */
bool active_retire(const char *name, struct fault *fault);
bool active_restore(const char *name, struct fault *fault);

/* A version that is not used is about to be destroyed: neither link names it any more. */
void active_forget(const char *name, const char *key);

/*
 * At boot: settles every ingot, brings the links of programs in order, puts the services where runsvdir finds them. Of an
 * ingot that no accepted key has signed neither is there afterwards: E_INGOT_SIGNATURE.
 */
bool active_start(struct fault *fault);

/* E_INGOT_CONFLICT when another ingot has a program of the same name. */
bool programs_check(const struct manifest *manifest, struct fault *fault);

/* E_INGOT_NEEDS unless all that the ingot needs is active. */
bool needs_check(const struct manifest *manifest, struct fault *fault);

/* `code` when an active ingot needs this one, and this version (or none: NULL) will not do. */
bool needed_check(const char *name, const char *version, const char *code, struct fault *fault);

#endif
