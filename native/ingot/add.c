/* SPDX-License-Identifier: Apache-2.0 */
#include "add.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zstd.h>

#include "active.h"
#include "frames.h"
#include "services.h"
#include "trust.h"

#define ARCH "x86_64"

/* What a file takes beside its bytes: the rest of its last block, and its place in folders and indexes. */
#define FILE_BYTES 4096u

/* Signature first: what nobody signed is not even parsed. */
static bool
accept(struct addition *addition, const char *text, size_t length, struct fault *fault)
{
	struct manifest *manifest = &addition->manifest;
	char signer[TRUST_ID_DIGITS + 1];
	struct trust trust;
	struct head head;

	if (!head_parse(text, length, &head, fault))
		return (false);
	if (head.length + head.manifest_length != length)
		return (fail(fault, "E_INGOT_MANIFEST", NULL, "the manifest is not as long as the first line says"));
	if (!trust_load(TRUST_FOLDER, &trust, fault) ||
	    !trust_check(&trust, &head, text + head.length, signer, fault) ||
	    !manifest_parse(text + head.length, head.manifest_length, manifest, fault))
		return (false);
	if (strcmp(manifest->arch, ARCH) != 0)
		return (
		    fail(fault, "E_INGOT_ARCH", NULL, "the ingot is for %s, this machine is " ARCH, manifest->arch));
	manifest_key(text + head.length, head.manifest_length, addition->key);
	snprintf(addition->disk_key, sizeof(addition->disk_key), "%.*s", (int)KEY_DISK_DIGITS, addition->key);
	return (true);
}

static bool
check_downgrade(struct addition *addition, struct fault *fault)
{
	struct manifest active;
	bool well;

	if (addition->was[0] == '\0')
		return (true);
	if (!store_read(addition->manifest.name, addition->was, &active, fault))
		return (false);
	well = version_compare(addition->manifest.version, active.version) >= 0 ||
	    fail(fault, "E_INGOT_DOWNGRADE", "a downgrade has to be allowed explicitly",
		"%s %s is older than %s, which is active", active.name, addition->manifest.version, active.version);
	manifest_free(&active);
	return (well);
}

static bool
check_wanted(struct addition *addition, bool allow_downgrade, struct fault *fault)
{
	const struct manifest *manifest = &addition->manifest;

	return (needs_check(manifest, fault) &&
	    needed_check(manifest->name, manifest->version, "E_INGOT_NEEDS", fault) &&
	    services_check(manifest, fault) && programs_check(manifest, fault) &&
	    (allow_downgrade || check_downgrade(addition, fault)));
}

static bool
check_space(const struct addition *addition, uint64_t there, struct fault *fault)
{
	const struct manifest *manifest = &addition->manifest;
	uint64_t needed = manifest->size + manifest->entries_count * FILE_BYTES;
	uint64_t available = store_free(&addition->store);

	needed -= there < needed ? there : needed;
	return (needed <= available ||
	    fail(fault, "E_INGOT_SPACE",
		addition->store.kept ? "make room: `anvil-ingot list` shows what the ingots take"
				     : "give the machine more memory, or install the system to a disk",
		"%s %s takes up to %llu MiB, %llu MiB are free", manifest->name, manifest->version,
		(unsigned long long)(needed >> 20), (unsigned long long)(available >> 20)));
}

/* Half-received versions of this ingot other than this one, which nobody will go on with. */
static bool
drop_others(const struct addition *addition, const struct versions *versions, struct fault *fault)
{
	for (size_t i = 0; i < versions->count; i++) {
		const struct version *version = &versions->all[i];

		if (!version->complete && strcmp(version->name, addition->manifest.name) == 0 &&
		    strcmp(version->key, addition->disk_key) != 0 &&
		    !store_destroy(&addition->store, version->name, version->key, fault))
			return (false);
	}
	return (true);
}

/*
 * How many chunks are written. The count stands in the same dataset as the files and is written after them; ZFS brings
 * what it has to disk in the order in which it was written, so the count is never ahead of the files.
 */
static uint32_t
read_received(int received, size_t chunks)
{
	uint8_t bytes[4];
	uint32_t count;

	if (pread(received, bytes, sizeof(bytes), 0) != sizeof(bytes))
		return (0);
	count = load_u32le(bytes);
	return (count <= chunks ? count : 0);
}

static bool
write_received(int received, uint32_t count, struct fault *fault)
{
	uint8_t bytes[4];

	store_u32le(bytes, count);
	return (pwrite(received, bytes, sizeof(bytes), 0) == sizeof(bytes) ||
	    fail_errno(fault, "cannot write " OWN_FOLDER "/received"));
}

static bool
open_tree(struct addition *addition, const char *text, size_t length, struct fault *fault)
{
	char path[PLACE_BYTES];

	addition->tree =
	    open(store_path(addition->manifest.name, addition->disk_key, path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (addition->tree < 0)
		return (fail_errno(fault, "cannot open %s", path));
	if (!store_write_manifest(addition->tree, text, length, fault))
		return (false);
	addition->received = openat(addition->tree, OWN_FOLDER "/received", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (addition->received < 0)
		return (fail_errno(fault, "cannot open " OWN_FOLDER "/received"));
	addition->first = addition->next = addition->written =
	    read_received(addition->received, addition->manifest.chunks_count);
	return (true);
}

static uint64_t
payload_offset(const struct addition *addition)
{
	return (addition->next == addition->manifest.chunks_count ? addition->manifest.size
								  : (uint64_t)addition->next * CHUNK_SIZE);
}

static bool
make_place(struct addition *addition, const char *text, size_t length, struct fault *fault)
{
	static struct versions versions;
	const struct manifest *manifest = &addition->manifest;
	const struct version *version;

	if (!store_list(&addition->store, &versions, fault) || !drop_others(addition, &versions, fault))
		return (false);
	version = versions_find(&versions, manifest->name, addition->disk_key);
	if (version != NULL && version->complete) {
		addition->complete = true;
		addition->active = strcmp(addition->was, addition->disk_key) == 0;
		addition->first = addition->next = addition->written = (uint32_t)manifest->chunks_count;
		return (store_sign_again(&addition->store, manifest->name, addition->disk_key, text, length, fault));
	}
	if (version == NULL &&
	    (!check_space(addition, 0, fault) ||
		!store_create(&addition->store, manifest->name, addition->disk_key, manifest->version, fault)))
		return (false);
	if (!open_tree(addition, text, length, fault))
		return (false);
	addition->unpacked = malloc(2 * CHUNK_SIZE);
	addition->decoder = ZSTD_createDCtx();
	addition->written_event = eventfd(0, EFD_CLOEXEC);
	if (addition->unpacked == NULL || addition->decoder == NULL || addition->written_event < 0)
		return (fail(fault, "E_INGOT_SYSTEM", NULL, "no memory to unpack with"));
	return (check_space(addition, payload_offset(addition), fault) &&
	    tree_begin(&addition->writer, manifest, addition->tree, payload_offset(addition), fault));
}

/* What is received stays for the next attempt, unless that would fail in the same way, or the room is needed. */
static void
give_up(struct addition *addition, const struct fault *fault)
{
	static const char *const hopeless[] = {"E_INGOT_SPACE", "E_INGOT_MANIFEST", "E_INGOT_ARCH", "E_INGOT_DAMAGED"};
	struct fault second;
	bool keep = true;

	for (size_t i = 0; i < sizeof(hopeless) / sizeof(hopeless[0]); i++)
		keep = keep && strcmp(fault->code, hopeless[i]) != 0;
	if (keep || addition->tree < 0)
		return;
	tree_close(&addition->writer);
	close(addition->tree);
	close(addition->received);
	addition->tree = addition->received = -1;
	store_destroy(&addition->store, addition->manifest.name, addition->disk_key, &second);
}

bool
addition_begin(struct addition *addition, const char *text, size_t length, bool allow_downgrade,
    const struct report *report, struct fault *fault)
{
	memset(addition, 0, sizeof(*addition));
	addition->lock = addition->tree = addition->received = addition->written_event = addition->writer.fd = -1;
	if (accept(addition, text, length, fault) && (addition->lock = store_lock(fault)) >= 0 &&
	    store_find(&addition->store, fault) && store_open(&addition->store, fault) &&
	    active_settle(addition->manifest.name, true, fault)) {
		active_used(addition->manifest.name, addition->was);
		if (check_wanted(addition, allow_downgrade, fault) && make_place(addition, text, length, fault)) {
			if (!addition->complete)
				report->progress(report->to, "receive");
			return (true);
		}
		give_up(addition, fault);
	}
	addition_end(addition);
	return (false);
}

static uint8_t *
place_of(const struct addition *addition, uint32_t chunk)
{
	return (addition->unpacked + (size_t)(chunk % 2) * CHUNK_SIZE);
}

static void *
write_chunk(void *of)
{
	struct addition *addition = of;
	const struct chunk *chunk = &addition->manifest.chunks[addition->written];

	addition->write_well = tree_write(&addition->writer, place_of(addition, addition->written), chunk->unpacked,
				   &addition->write_fault) &&
	    write_received(addition->received, addition->written + 1, &addition->write_fault);
	eventfd_write(addition->written_event, 1);
	return (NULL);
}

static bool
start_writing(struct addition *addition, struct fault *fault)
{
	int error = pthread_create(&addition->thread, NULL, write_chunk, addition);

	addition->writing = error == 0;
	return (addition->writing || fail(fault, "E_INGOT_SYSTEM", NULL, "cannot start a thread: %s", strerror(error)));
}

static bool
end_writing(struct addition *addition, struct fault *fault)
{
	eventfd_t ended;

	if (!addition->writing)
		return (true);
	pthread_join(addition->thread, NULL);
	eventfd_read(addition->written_event, &ended);
	addition->writing = false;
	addition->written += addition->write_well;
	if (!addition->write_well)
		*fault = addition->write_fault;
	return (addition->write_well);
}

bool
addition_chunk(struct addition *addition, const uint8_t *bytes, size_t length, struct fault *fault)
{
	const struct chunk *chunk = &addition->manifest.chunks[addition->next];
	uint64_t nanoseconds[2] = {0, 0};
	bool well = chunk_unpack(addition->decoder, chunk, addition->next, bytes, length,
	    place_of(addition, addition->next), nanoseconds, fault);

	/* if both failed, it is the earlier one that counts */
	well = end_writing(addition, fault) && well && start_writing(addition, fault);
	addition->hash_nanoseconds += nanoseconds[0];
	addition->unpack_nanoseconds += nanoseconds[1];
	addition->next += well;
	if (!well)
		give_up(addition, fault);
	return (well);
}

bool
addition_settle(struct addition *addition, struct fault *fault)
{
	bool well = end_writing(addition, fault);

	if (!well)
		give_up(addition, fault);
	return (well);
}

static void
report_value(const struct report *report, const char *word, const char *value)
{
	char line[PLACE_BYTES];

	snprintf(line, sizeof(line), "%s %s", word, value);
	report->line(report->to, line);
}

static void
report_time(const struct report *report, const char *word, uint64_t nanoseconds)
{
	char line[64];

	snprintf(line, sizeof(line), "%s %llu", word, (unsigned long long)(nanoseconds / 1000000));
	report->line(report->to, line);
}

static void
report_result(const struct addition *addition, const struct report *report)
{
	char number[24];

	report_value(report, "name", addition->manifest.name);
	report_value(report, "version", addition->manifest.version);
	report_value(report, "key", addition->disk_key);
	report_value(report, "was", addition->was[0] != '\0' ? addition->was : "none");
	report_value(report, "pool", addition->store.pool);
	report_value(report, "kept", addition->store.kept ? "yes" : "no");
	snprintf(number, sizeof(number), "%u", addition->first);
	report_value(report, "resumed", number);
}

/* The tree, as it was received, becomes a version that can be made active. */
static bool
complete(struct addition *addition, const struct report *report, uint64_t times[2], struct fault *fault)
{
	uint64_t begin = nanoseconds_now(), proven;
	const struct manifest *manifest = &addition->manifest;

	/* files were compared with their hashes while they were written; of an earlier attempt's, a power cut may be to blame */
	report->progress(report->to, "prove");
	if (!tree_end(&addition->writer, fault) || !tree_check(manifest, addition->tree, addition->first > 0, fault)) {
		give_up(addition, fault);
		return (false);
	}
	proven = nanoseconds_now();
	times[0] = proven - begin;
	close(addition->received);
	close(addition->tree);
	addition->received = addition->tree = -1;
	report->progress(report->to, "snapshot");
	if (!store_seal(&addition->store, manifest->name, addition->disk_key, fault))
		return (false);
	times[1] = nanoseconds_now() - proven;
	return (true);
}

bool
addition_finish(
    struct addition *addition, uint64_t receive_nanoseconds, const struct report *report, struct fault *fault)
{
	const struct manifest *manifest = &addition->manifest;
	uint64_t times[2] = {0, 0}, begin;

	if (addition->active) {
		report_result(addition, report);
		report_value(report, "state", "already-active");
		return (true);
	}
	if (!addition->complete && (!addition_settle(addition, fault) || !complete(addition, report, times, fault)))
		return (false);
	if (manifest->data && !store_create_data(&addition->store, manifest->name, fault))
		return (false);
	begin = nanoseconds_now();
	if (!active_switch(manifest->name, manifest, addition->disk_key, report, fault))
		return (false);
	report_result(addition, report);
	report_value(report, "state", "active");
	report_time(report, "time-receive", receive_nanoseconds);
	report_time(report, "time-hash", addition->hash_nanoseconds + addition->writer.hash_nanoseconds);
	report_time(report, "time-unpack", addition->unpack_nanoseconds);
	report_time(report, "time-write", addition->writer.write_nanoseconds);
	report_time(report, "time-prove", times[0]);
	report_time(report, "time-snapshot", times[1]);
	report_time(report, "time-activate", nanoseconds_now() - begin);
	return (true);
}

void
addition_end(struct addition *addition)
{
	int *const descriptors[] = {&addition->tree, &addition->received, &addition->written_event, &addition->lock};
	struct fault fault;

	end_writing(addition, &fault);
	tree_close(&addition->writer);
	for (size_t i = 0; i < sizeof(descriptors) / sizeof(descriptors[0]); i++) {
		if (*descriptors[i] >= 0)
			close(*descriptors[i]);
		*descriptors[i] = -1;
	}
	free(addition->unpacked);
	addition->unpacked = NULL;
	ZSTD_freeDCtx(addition->decoder);
	addition->decoder = NULL;
	manifest_free(&addition->manifest);
}
