/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * Where ingots are kept: dataset <pool>/ingots, mounted on /ingots, and below it a dataset per ingot and one per version:
 *
 *	/ingots/<name>/<first 32 digits of the key>/		the tree, and .anvil/ with the manifest
 *	/ingots/<name>/active, previous, unconfirmed		symbolic links to those folders
 *	/ingots/<name>/data/					what an ingot keeps, whichever version is active
 *	/ingots/bin/<program>					symbolic links to ../<name>/active/usr/bin/<program>
 *
 * The property anvil:state of a version's dataset is "incoming", then "complete". The links say which one is used.
 */
#ifndef INGOT_STORE_H
#define INGOT_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fault.h"
#include "manifest.h"

#define INGOTS       "/ingots"
#define PROGRAMS     INGOTS "/bin"
#define STATE_FOLDER "/run/anvil" /* of this boot */
#define TRUST_FOLDER "/etc/anvil/trust"
#define DATA         "data"
#define VERSIONS_MAX 512u
#define POOL_BYTES   64u
#define PLACE_BYTES  256u /* of a dataset's name, or of a path above the tree */

struct store {
	char pool[POOL_BYTES];
	bool kept; /* on a disk; else in memory, gone with the machine */
};

/* Which pool it is, of /run/anvil/boot.env. Nothing is made. */
bool store_find(struct store *store, struct fault *fault);

/* Makes the pool of a live system and the dataset of all ingots where they are missing, and mounts it. */
bool store_open(const struct store *store, struct fault *fault);

/* True when there may be ingots: /ingots is mounted. */
bool store_exists(void);

/* What can still be written, in bytes. */
uint64_t store_free(const struct store *store);

/* One process at a time changes something: E_INGOT_BUSY. The descriptor of the lock, to be closed; -1 on failure. */
int store_lock(struct fault *fault);

struct version {
	char name[33];
	char key[KEY_DISK_DIGITS + 1];
	char number[65]; /* its version */
	bool complete;
	uint64_t used; /* bytes on disk */
};

struct versions {
	size_t count;
	struct version all[VERSIONS_MAX];
};

/* All versions of all ingots, by name. */
bool store_list(const struct store *store, struct versions *versions, struct fault *fault);

/* The version of this key, or NULL. */
const struct version *versions_find(const struct versions *versions, const char *name, const char *key);

/* A dataset in the state "incoming", mounted. */
bool store_create(
    const struct store *store, const char *name, const char *key, const char *version, struct fault *fault);

/* The dataset of an ingot's data, mounted; nothing to do when there is one. */
bool store_create_data(const struct store *store, const char *name, struct fault *fault);
bool store_has_data(const char *name);

/* From "incoming" to "complete": a snapshot, and read-only from then on. All that was written is on the disk then. */
bool store_seal(const struct store *store, const char *name, const char *key, struct fault *fault);

/*
 * A complete version whose kept signature the system does not accept gets the one that it was sent with now; `text` is its
 * head, which was checked, and its manifest.
 */
bool store_sign_again(
    const struct store *store, const char *name, const char *key, const char *text, size_t length, struct fault *fault);

/* Unmounts all versions of an ingot, or none of them: E_INGOT_ACTIVE when one is in use. */
bool store_unmount(const struct store *store, const char *name, struct fault *fault);

/*
 * Destroys one version, or with a key of NULL all of the ingot, its data too. The dataset of the name goes with the last
 * version, unless there are data.
 */
bool store_destroy(const struct store *store, const char *name, const char *key, struct fault *fault);

/* "/ingots/<name>[/<key>]" */
const char *store_path(const char *name, const char *key, char path[PLACE_BYTES]);

/* Reads the manifest that was kept with a version; `link` is a key or "active". E_INGOT_DAMAGED, E_INGOT_UNKNOWN. */
bool store_read(const char *name, const char *link, struct manifest *manifest, struct fault *fault);

/* As above, and the signature against the keys that are accepted now: E_INGOT_SIGNATURE, E_INGOT_TRUST. */
bool store_read_signed(const char *name, const char *link, struct manifest *manifest, struct fault *fault);

/* Writes head and manifest to the tree, for the two above. */
bool store_write_manifest(int tree, const char *text, size_t length, struct fault *fault);

/* The names of all ingots, ended by an empty one. False when there is no memory, or /ingots cannot be read. */
#define NAMES_MAX 256u
struct names {
	size_t count;
	char all[NAMES_MAX][33];
};
bool store_names(struct names *names, struct fault *fault);

#endif
