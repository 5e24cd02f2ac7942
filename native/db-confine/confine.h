/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* Says what failed, with the words of errno, and returns false. */
bool failed(const char *what, const char *of);

/*
 * Hands what is in a folder, and folders below it, to a user and the group of the same number. No link is followed, no
 * other dataset is entered, and a name that is replaced meanwhile leads nowhere else. The folder itself comes last.
 */
bool own_folder(const char *path, uid_t user);

/* Makes a cluster's folder root's, in which others can only go on to what they know; true when it holds `pgdata` and `wal`. */
bool own_top(const char *path);

/* Prints up to 64 bytes of a regular file, opened as that user: what root alone could read is not read. */
bool read_as(uid_t user, const char *path);

/* Ends all processes of a user; true when none is left. */
bool end_processes(uid_t user);

/* From now on the calling process is that user, without capabilities and without a way to new ones. */
bool become(uid_t user);

/* System calls that a server does not need, and that have often been a way through the kernel, fail from now on. */
bool filter_system_calls(void);

/*
 * run_confined CLUSTER USER TREE COMMAND: the status that the command ended with. Signals that this process gets are
 * handed to it.
 */
int run_confined(const char *cluster, uid_t user, const char *tree, char **command);
