/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * One program for zpool, zfs, mount.zfs and zgenhostid: all four are mostly the same static libraries. It is the one
 * by whose name it was called; each name is a link to this file.
 */
#include <stdio.h>
#include <string.h>

/* The main functions of the programs, renamed when they were linked. */
int zpool_main(int, char **);
int zfs_main(int, char **);
int mount_zfs_main(int, char **);
int zgenhostid_main(int, char **);

static const struct {
	const char *name;
	int (*main)(int, char **);
} programs[] = {
    {"zpool", zpool_main},
    {"zfs", zfs_main},
    {"mount.zfs", mount_zfs_main},
    {"zgenhostid", zgenhostid_main},
};

int
main(int argc, char **argv)
{
	const char *name = argc > 0 ? argv[0] : "";
	const char *slash = strrchr(name, '/');

	if (slash)
		name = slash + 1;
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		if (strcmp(name, programs[i].name) == 0)
			return (programs[i].main(argc, argv));
	}
	fprintf(stderr, "%s: not one of the ZFS programs. It must be called by one of these names:", name);
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		fprintf(stderr, " %s", programs[i].name);
	fprintf(stderr, "\n");
	return (127);
}
