/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * Services of ingots: folders in /run/service, which runsvdir watches. Such a folder is a real one that holds links to
 * what lies in the tree of the active version: runsv writes its state beside them, which the tree, being read-only, does
 * not take, and runsvdir tells folders apart by inode number alone, which are equal in two datasets now and then.
 */
#ifndef INGOT_SERVICES_H
#define INGOT_SERVICES_H

#include <stdbool.h>

#include "fault.h"
#include "manifest.h"
#include "report.h"

#define SERVICES "/run/service"

/* E_INGOT_CONFLICT when a service of this name belongs to the system or to another ingot. */
bool services_check(const struct manifest *manifest, struct fault *fault);

/* Stops and removes the services of an ingot, as they are in /run/service. */
void services_stop(const char *name);

/* Puts them there for runsvdir to start. */
bool services_place(const struct manifest *manifest, struct fault *fault);

/* Waits until each of them runs, and still does a second later. E_INGOT_HEALTH. */
bool services_wait(const struct manifest *manifest, const struct report *report, struct fault *fault);

#endif
