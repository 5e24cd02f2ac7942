/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "frames.h"
#include "run.h"
#include "trust.h"

#define ZFS             "/usr/sbin/zfs"
#define ZPOOL           "/usr/sbin/zpool"
#define ZFS_SUPER_MAGIC 0x2fc12fc1 /* include/os/linux/zfs/sys/zfs_vfsops_os.h of OpenZFS */

#define MEMORY_POOL   "memory"
#define MEMORY_FOLDER STATE_FOLDER "/memory"
#define MEMORY_IMAGE  MEMORY_FOLDER "/pool.img"

/* What the store leaves free, so that the system can go on writing. */
#define SPARED_BYTES (UINT64_C(32) << 20)

/* Reads a small file of the kernel's or of ours as text. */
static bool
read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);

	if (fd >= 0)
		close(fd);
	text[got > 0 ? got : 0] = '\0';
	return (got > 0);
}

/* The value of NAME=value on a line of its own; empty when it is not there. */
static void
find_value(const char *text, const char *name, char *value, size_t size)
{
	size_t length = strlen(name);

	value[0] = '\0';
	for (const char *line = text; line != NULL && *line != '\0';) {
		const char *feed = strchr(line, '\n');

		if (strncmp(line, name, length) == 0 && line[length] == '=') {
			const char *begin = line + length + 1;
			size_t bytes = strcspn(begin, "\n");

			if (bytes >= 2 && (*begin == '\'' || *begin == '"') && begin[bytes - 1] == *begin) {
				begin++;
				bytes -= 2;
			}
			snprintf(value, size, "%.*s", (int)bytes, begin);
		}
		line = feed == NULL ? NULL : feed + 1;
	}
}

bool
store_find(struct store *store, struct fault *fault)
{
	char text[2048], kind[16];

	if (!read_text(STATE_FOLDER "/boot.env", text, sizeof(text)))
		return (fail(fault, "E_INGOT_SYSTEM", "ingots are for a system that was booted as AnvilOS",
		    STATE_FOLDER "/boot.env cannot be read: which pool is the root's is not known"));
	find_value(text, "ANVIL_KIND", kind, sizeof(kind));
	find_value(text, "ANVIL_POOL", store->pool, sizeof(store->pool));
	store->kept = strcmp(kind, "pool") == 0;
	if (!store->kept)
		strcpy(store->pool, MEMORY_POOL);
	return (store->pool[0] != '\0' || fail(fault, "E_INGOT_SYSTEM", NULL, "the pool of the root is not known"));
}

bool
store_exists(void)
{
	struct statfs status;

	return (statfs(INGOTS, &status) == 0 && (unsigned long)status.f_type == ZFS_SUPER_MAGIC &&
	    access(INGOTS "/.zfs", F_OK) == 0);
}

static uint64_t
total_memory(void)
{
	struct sysinfo info;

	return (sysinfo(&info) == 0 ? (uint64_t)info.totalram * info.mem_unit : 0);
}

/* MemAvailable: what can be used without swapping. */
static uint64_t
available_memory(void)
{
	char text[2048];
	const char *line;

	if (!read_text("/proc/meminfo", text, sizeof(text)))
		return (0);
	line = strstr(text, "MemAvailable:");
	return (line == NULL ? 0 : strtoull(line + strlen("MemAvailable:"), NULL, 10) * 1024);
}

uint64_t
store_free(const struct store *store)
{
	bool exists = store_exists();
	struct statvfs status;
	uint64_t available = 0;

	if ((exists || store->kept) && statvfs(exists ? INGOTS : "/", &status) == 0)
		available = (uint64_t)status.f_bavail * status.f_frsize;
	if (!store->kept) {
		uint64_t memory = available_memory();

		if (!exists)
			available = total_memory() / 4 * 3;
		available = memory < available ? memory : available;
	}
	return (available > SPARED_BYTES ? available - SPARED_BYTES : 0);
}

/* A pool of a live system: on a file in a tmpfs of its own, both of which take memory only as they are filled. */
static bool
make_memory_pool(struct fault *fault)
{
	const char *const create[] = {ZPOOL, "create", "-o", "ashift=12", "-o", "cachefile=none", "-O",
	    "mountpoint=none", "-O", "canmount=off", "-O", "atime=off", MEMORY_POOL, MEMORY_IMAGE, NULL};
	uint64_t size = total_memory() / 4 * 3;
	int image;
	bool well;

	if (mkdir(MEMORY_FOLDER, 0700) != 0 && errno != EEXIST)
		return (fail_errno(fault, "cannot make " MEMORY_FOLDER));
	/* a tmpfs of its own: what fills it does not fill /run */
	if (access(MEMORY_IMAGE, F_OK) != 0 &&
	    mount("ingots", MEMORY_FOLDER, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700,size=75%") != 0)
		return (fail_errno(fault, "cannot mount a tmpfs on " MEMORY_FOLDER));
	image = open(MEMORY_IMAGE, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	well = image >= 0 && ftruncate(image, (off_t)size) == 0;
	if (!well)
		fail_errno(fault, "cannot make " MEMORY_IMAGE);
	if (image >= 0)
		close(image);
	return (well && run_zfs(create, NULL, 0, fault));
}

static const char *
dataset_name(const struct store *store, const char *name, const char *key, char dataset[PLACE_BYTES])
{
	snprintf(dataset, PLACE_BYTES, "%s/ingots%s%s%s%s", store->pool, name != NULL ? "/" : "",
	    name != NULL ? name : "", key != NULL ? "/" : "", key != NULL ? key : "");
	return (dataset);
}

const char *
store_path(const char *name, const char *key, char path[PLACE_BYTES])
{
	snprintf(path, PLACE_BYTES, INGOTS "/%s%s%s", name, key != NULL ? "/" : "", key != NULL ? key : "");
	return (path);
}

bool
store_open(const struct store *store, struct fault *fault)
{
	char dataset[PLACE_BYTES];
	const char *const pool[] = {ZPOOL, "list", "-H", "-o", "name", store->pool, NULL};
	const char *const mounted[] = {ZFS, "mount", dataset_name(store, NULL, NULL, dataset), NULL};
	const char *const create[] = {ZFS, "create", "-o", "mountpoint=" INGOTS, "-o", "compression=lz4", "-o",
	    "atime=off", "-o", "devices=off", "-o", "setuid=off", dataset, NULL};
	struct fault missing;

	if (!store_exists()) {
		if (!store->kept && !run_zfs(pool, NULL, 0, &missing) && !make_memory_pool(fault))
			return (false);
		if (!run_zfs(mounted, NULL, 0, &missing) && !run_zfs(create, NULL, 0, fault))
			return (false);
	}
	return (mkdir(PROGRAMS, 0755) == 0 || errno == EEXIST || fail_errno(fault, "cannot make " PROGRAMS));
}

int
store_lock(struct fault *fault)
{
	int lock = open(STATE_FOLDER "/ingot.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (lock < 0) {
		fail_errno(fault, "cannot open " STATE_FOLDER "/ingot.lock");
		return (-1);
	}
	if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
		fail(fault, "E_INGOT_BUSY", "wait until it has ended",
		    "another command is at work on the ingots of this system");
		close(lock);
		return (-1);
	}
	return (lock);
}

/* Cuts the next field off a line of `zfs list -H`. */
static char *
next_field(char **line, char end)
{
	char *field = *line;
	char *stop = strchr(field, end);

	if (stop == NULL)
		return (NULL);
	*stop = '\0';
	*line = stop + 1;
	return (field);
}

/* Takes "<pool>/ingots/<name>/<key>" apart; other datasets are none of ours. */
static bool
split_dataset(const struct store *store, const char *dataset, struct version *version)
{
	size_t pool = strlen(store->pool);
	const char *name = dataset + pool + strlen("/ingots/");
	const char *slash;

	if (strlen(dataset) <= pool + strlen("/ingots/") || (slash = strchr(name, '/')) == NULL)
		return (false);
	if ((size_t)(slash - name) >= sizeof(version->name) || strlen(slash + 1) != KEY_DISK_DIGITS ||
	    strspn(slash + 1, "0123456789abcdef") != KEY_DISK_DIGITS)
		return (false);
	snprintf(version->name, sizeof(version->name), "%.*s", (int)(slash - name), name);
	strcpy(version->key, slash + 1);
	return (true);
}

bool
store_list(const struct store *store, struct versions *versions, struct fault *fault)
{
	static char output[256u << 10];
	char dataset[PLACE_BYTES];
	const char *const list[] = {ZFS, "list", "-H", "-p", "-r", "-t", "filesystem", "-o",
	    "name,used,anvil:state,anvil:version", dataset_name(store, NULL, NULL, dataset), NULL};
	char *line = output;

	versions->count = 0;
	if (!store_exists())
		return (true);
	if (!run_zfs(list, output, sizeof(output), fault))
		return (false);
	while (versions->count < VERSIONS_MAX) {
		struct version *version = &versions->all[versions->count];
		char *name = next_field(&line, '\t');
		char *used = name == NULL ? NULL : next_field(&line, '\t');
		char *state = used == NULL ? NULL : next_field(&line, '\t');
		char *number = state == NULL ? NULL : next_field(&line, '\n');

		if (number == NULL)
			return (true);
		if (!split_dataset(store, name, version))
			continue;
		version->used = strtoull(used, NULL, 10);
		version->complete = strcmp(state, "complete") == 0;
		snprintf(version->number, sizeof(version->number), "%s", number);
		versions->count++;
	}
	return (fail(fault, "E_INGOT_SYSTEM", "remove some", "there are more than %u ingots", VERSIONS_MAX));
}

const struct version *
versions_find(const struct versions *versions, const char *name, const char *key)
{
	for (size_t i = 0; i < versions->count; i++) {
		const struct version *version = &versions->all[i];

		if (strcmp(version->name, name) == 0 && strcmp(version->key, key) == 0)
			return (version);
	}
	return (NULL);
}

bool
store_create(const struct store *store, const char *name, const char *key, const char *version, struct fault *fault)
{
	char dataset[PLACE_BYTES], number[128];
	/* -p makes the dataset of the name, which gets none of these properties */
	const char *const create[] = {ZFS, "create", "-p", "-o", "anvil:state=incoming", "-o", number,
	    dataset_name(store, name, key, dataset), NULL};

	snprintf(number, sizeof(number), "anvil:version=%s", version);
	return (run_zfs(create, NULL, 0, fault));
}

bool
store_has_data(const char *name)
{
	char path[PLACE_BYTES];
	struct stat above, data;

	/* a dataset that is mounted has a device number of its own */
	return (stat(store_path(name, NULL, path), &above) == 0 && stat(store_path(name, DATA, path), &data) == 0 &&
	    above.st_dev != data.st_dev);
}

bool
store_create_data(const struct store *store, const char *name, struct fault *fault)
{
	char dataset[PLACE_BYTES];
	const char *const create[] = {ZFS, "create", dataset_name(store, name, DATA, dataset), NULL};

	return (store_has_data(name) || run_zfs(create, NULL, 0, fault));
}

bool
store_seal(const struct store *store, const char *name, const char *key, struct fault *fault)
{
	char dataset[PLACE_BYTES], snapshot[PLACE_BYTES + 16];
	const char *const forget[] = {ZFS, "destroy", snapshot, NULL};
	const char *const take[] = {ZFS, "snapshot", snapshot, NULL};
	const char *const seal[] = {
	    ZFS, "set", "readonly=on", "anvil:state=complete", dataset_name(store, name, key, dataset), NULL};
	struct fault none;

	snprintf(snapshot, sizeof(snapshot), "%s@injected", dataset);
	/* one that is there is of an attempt that was killed in this very function */
	if (!run_zfs(take, NULL, 0, fault) && (!run_zfs(forget, NULL, 0, &none) || !run_zfs(take, NULL, 0, fault)))
		return (false);
	/* ZFS returns when the property is on the disk, and with it everything that was written before */
	return (run_zfs(seal, NULL, 0, fault));
}

bool
store_sign_again(
    const struct store *store, const char *name, const char *key, const char *text, size_t length, struct fault *fault)
{
	char dataset[PLACE_BYTES], path[PLACE_BYTES];
	const char *const open_up[] = {ZFS, "set", "readonly=off", dataset_name(store, name, key, dataset), NULL};
	const char *const close_up[] = {ZFS, "set", "readonly=on", dataset, NULL};
	struct manifest manifest;
	struct statvfs status;
	struct fault refused;
	bool well = true;

	store_path(name, key, path);
	if (store_read_signed(name, key, &manifest, &refused)) {
		manifest_free(&manifest);
		/* a kill below may have left it so */
		return (statvfs(path, &status) != 0 || (status.f_flag & ST_RDONLY) != 0 ||
		    run_zfs(close_up, NULL, 0, fault));
	}
	if (!run_zfs(open_up, NULL, 0, fault))
		return (false);
	int tree = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	well = tree >= 0 ? store_write_manifest(tree, text, length, fault) : fail_errno(fault, "cannot open %s", path);
	if (tree >= 0)
		close(tree);
	return (run_zfs(close_up, NULL, 0, well ? fault : &refused) && well);
}

bool
store_unmount(const struct store *store, const char *name, struct fault *fault)
{
	char dataset[PLACE_BYTES];
	const char *const unmount[] = {ZFS, "unmount", dataset_name(store, name, NULL, dataset), NULL};

	/* with all that are mounted below it; when one of them fails, zfs mounts the others again */
	if (run_zfs(unmount, NULL, 0, fault))
		return (true);
	if (strstr(fault->details, "busy") != NULL)
		fault->code = "E_INGOT_ACTIVE";
	return (false);
}

bool
store_destroy(const struct store *store, const char *name, const char *key, struct fault *fault)
{
	char dataset[PLACE_BYTES];
	char parent[PLACE_BYTES];
	const char *const destroy[] = {ZFS, "destroy", "-r", dataset_name(store, name, key, dataset), NULL};
	const char *const tidy[] = {ZFS, "destroy", dataset_name(store, name, NULL, parent), NULL};
	struct fault kept;

	if (!run_zfs(destroy, NULL, 0, fault))
		return (false);
	/* ZFS refuses while there is another one, or data */
	if (key != NULL)
		(void)run_zfs(tidy, NULL, 0, &kept);
	return (true);
}

/* It was accepted when the ingot was added: the key has been withdrawn since, or the manifest was changed. */
static void
say_refused(const char *name, const char *key, struct fault *fault)
{
	snprintf(fault->message, sizeof(fault->message),
	    "no key that the system accepts now has signed the ingot %s %.*s", name, (int)KEY_SHOWN_DIGITS, key);
	snprintf(fault->hint, sizeof(fault->hint), "%s",
	    "add it again, signed with a key that is accepted; or remove it: anvil-ingot remove");
}

static bool
read_manifest(const char *name, const char *link, bool check, struct manifest *manifest, struct fault *fault)
{
	char path[PLACE_BYTES], file[PLACE_BYTES + 32], id[TRUST_ID_DIGITS + 1];
	struct trust trust;
	struct stat status;
	struct head head;
	char *text = NULL;
	bool well;

	snprintf(file, sizeof(file), "%s/" OWN_FOLDER "/manifest", store_path(name, link, path));
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &status) != 0 || status.st_size > HEAD_MAX + MANIFEST_MAX ||
	    (text = malloc((size_t)status.st_size + 1)) == NULL || !read_fully(fd, text, (size_t)status.st_size))
		well = fail(fault, "E_INGOT_DAMAGED", "remove the ingot and add it again", "%s cannot be read", file);
	else
		well = head_parse(text, (size_t)status.st_size, &head, fault) &&
		    (head.length + head.manifest_length == (size_t)status.st_size ||
			fail(fault, "E_INGOT_DAMAGED", NULL, "%s is not complete", file)) &&
		    (!check ||
			(trust_load(TRUST_FOLDER, &trust, fault) &&
			    trust_check(&trust, &head, text + head.length, id, fault))) &&
		    manifest_parse(text + head.length, head.manifest_length, manifest, fault);
	if (!well && check && strcmp(fault->code, "E_INGOT_SIGNATURE") == 0)
		say_refused(name, link, fault);
	free(text);
	if (fd >= 0)
		close(fd);
	return (well);
}

bool
store_read(const char *name, const char *link, struct manifest *manifest, struct fault *fault)
{
	return (read_manifest(name, link, false, manifest, fault));
}

bool
store_read_signed(const char *name, const char *link, struct manifest *manifest, struct fault *fault)
{
	return (read_manifest(name, link, true, manifest, fault));
}

bool
store_write_manifest(int tree, const char *text, size_t length, struct fault *fault)
{
	/* in one step: a kill leaves the old one or the new one */
	static const char fresh[] = OWN_FOLDER "/manifest.fresh";
	int file = -1;
	bool well = (mkdirat(tree, OWN_FOLDER, 0755) == 0 || errno == EEXIST) &&
	    (file = openat(tree, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)) >= 0;

	for (size_t at = 0; well && at < length;) {
		ssize_t put = write(file, text + at, length - at);

		well = put > 0 || (put < 0 && errno == EINTR);
		at += put > 0 ? (size_t)put : 0;
	}
	well = well && renameat(tree, fresh, tree, OWN_FOLDER "/manifest") == 0;
	if (!well)
		fail_errno(fault, "cannot write " OWN_FOLDER "/manifest");
	if (file >= 0)
		close(file);
	return (well);
}

bool
store_names(struct names *names, struct fault *fault)
{
	DIR *folder = store_exists() ? opendir(INGOTS) : NULL;
	struct dirent *entry;

	names->count = 0;
	while (folder != NULL && (entry = readdir(folder)) != NULL) {
		if (!name_is_valid(entry->d_name))
			continue;
		if (names->count == NAMES_MAX) {
			closedir(folder);
			return (
			    fail(fault, "E_INGOT_SYSTEM", "remove some", "there are more than %u ingots", NAMES_MAX));
		}
		strcpy(names->all[names->count++], entry->d_name);
	}
	if (folder != NULL)
		closedir(folder);
	return (true);
}
