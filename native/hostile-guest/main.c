/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * A guest that breaks the rules of its devices: a kernel that writes descriptors, rings, registers and lengths at random
 * and then sees whether its monitor still serves it. native/anvil-vmm/tests/hostile.rs does the same to the devices alone,
 * without KVM and its threads.
 *
 * Command line: seed=N cases=N end=reset|triple|nowhere. It says "hostile: warm" after a tenth of the cases and
 * "hostile: done" with its figures at the end, and each time waits for a byte on the serial port.
 */
#include <stddef.h>
#include <stdint.h>

enum {
	/* where the monitor puts its devices */
	WINDOWS = 0xd0000000u,
	WINDOW = 0x1000,
	MOST_DEVICES = 8,
	/* nothing of this program is above: devices may write there */
	ARENA = 0x400000,
	ROOM = 0x10000,
	DESCRIPTORS = 0x1000,
	AVAILABLE = 0x4000,
	USED = 0x6000,
	SERIAL = 0x3f8,
	NET = 1,
	BLOCK = 2,
	ENTROPY = 4,
	VSOCK = 19
};

struct device {
	uint32_t base, kind, queues;
	uint16_t used[3];
	uint32_t answered, stopped;
};

static uint64_t state, memory_end;
static struct device devices[MOST_DEVICES];
static uint32_t count;

static void
out(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static uint8_t
in(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return (value);
}

#define PLACE(type, at) (*(volatile type *)(uintptr_t)(at))

static uint64_t
next(void)
{
	/* xorshift64* */
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (state * 0x2545f4914f6cdd1du);
}

static uint32_t
below(uint32_t limit)
{
	return ((uint32_t)(next() >> 32) % limit);
}

#define OF(type, ...) (((const type[]){__VA_ARGS__})[below(sizeof((const type[]){__VA_ARGS__}) / sizeof(type))])

static void
say(const char *text)
{
	while (*text != '\0')
		out(SERIAL, (uint8_t)*text++);
}

static void
say_number(uint64_t number)
{
	char text[21], *at = text + 20;

	*at = '\0';
	do
		*--at = (char)('0' + number % 10);
	while ((number /= 10) != 0);
	say(at);
}

/* Whatever was written to the port before: eight bits, no interrupts, no loop back. */
static void
serial_again(void)
{
	static const uint8_t values[][2] = {{3, 0x03}, {1, 0x00}, {2, 0x01}, {4, 0x0b}};

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		out(SERIAL + values[i][0], values[i][1]);
	say("\r\n");
}

static void
wait_for_byte(void)
{
	while ((in(SERIAL + 5) & 1) != 0)
		(void)in(SERIAL);
	say("hostile: waits\r\n");
	while ((in(SERIAL + 5) & 1) == 0)
		;
	(void)in(SERIAL);
}

/* An address that is likely to be near an edge, and never one of this program. */
static uint64_t
address(void)
{
	switch (below(4)) {
	case 0:
		return (OF(uint64_t, 0, memory_end, memory_end, UINT64_MAX, (uint64_t)1 << 32, UINT32_MAX,
			    (uint64_t)1 << 63, WINDOWS) +
		    below(64) - 32);
	case 1:
		return (memory_end - 1 - below(0x10000));
	case 2:
		if (below(8) == 0)
			return (next() | (uint64_t)1 << 40);
		/* fallthrough */
	default:
		return (ARENA + 0x100000 + below((uint32_t)memory_end - ARENA - 0x100000));
	}
}

static uint32_t
length(void)
{
	switch (below(3)) {
	case 0:
		return (OF(uint32_t, 0, 1, 11, 12, 16, 44, 512, 513, 4096, 65536, 0x100000, UINT32_MAX, UINT32_MAX - 1,
		    1u << 31));
	case 1:
		return (below(2048));
	default:
		return (512 * below(16));
	}
}

static void
set(const struct device *device, uint32_t at, uint32_t value)
{
	PLACE(uint32_t, device->base + at) = value;
}

static uint32_t
get(const struct device *device, uint32_t at)
{
	return (PLACE(uint32_t, device->base + at));
}

static uint32_t
room(const struct device *device, uint32_t queue)
{
	return (ARENA + ((uint32_t)(device - devices) * 4 + queue) * ROOM);
}

/* Brings a device to life as a driver does, here and there in another way. */
static void
start(struct device *device)
{
	uint32_t wild = below(16) == 0;

	set(device, 0x70, 0);
	set(device, 0x70, 1);
	set(device, 0x70, 3);
	for (uint32_t page = 0; page < 2; page++) {
		set(device, 0x24, page);
		set(device, 0x20, wild ? (uint32_t)next() : page == 1 ? 1 : (uint32_t)next() & 3u << 28);
	}
	set(device, 0x70, 11);
	for (uint32_t queue = 0; queue < device->queues; queue++) {
		uint32_t base = room(device, queue);
		static const uint32_t places[][2] = {{0x80, DESCRIPTORS}, {0x90, AVAILABLE}, {0xa0, USED}};

		PLACE(uint32_t, base + AVAILABLE) = 0;
		PLACE(uint32_t, base + USED) = 0;
		device->used[queue] = 0;
		set(device, 0x30, queue);
		set(device, 0x38, below(16) == 0 ? OF(uint32_t, 0, 1, 2, 3, 64, 256, 257, 65536, UINT32_MAX) : 16);
		for (size_t i = 0; i < 3; i++) {
			uint64_t at = below(32) == 0 ? address() : base + places[i][1];

			set(device, places[i][0], (uint32_t)at);
			set(device, places[i][0] + 4, (uint32_t)(at >> 32));
		}
		set(device, 0x44, below(16) == 0 ? OF(uint32_t, 0, 2) : 1);
	}
	set(device, 0x70, below(16) == 0 ? OF(uint32_t, 4, 128, UINT32_MAX) : 15);
}

static void
describe(uint32_t at, uint64_t place, uint32_t bytes, uint16_t flags, uint16_t following)
{
	PLACE(uint64_t, at) = place;
	PLACE(uint32_t, at + 8) = bytes;
	PLACE(uint16_t, at + 12) = flags;
	PLACE(uint16_t, at + 14) = following;
}

static void
random_descriptor(uint32_t at)
{
	uint16_t following = (uint16_t)(below(16) == 0 ? next() : below(20));

	describe(at, address(), length(), OF(uint16_t, 0, 1, 1, 1, 2, 3, 3, 4, 5, 7), following);
}

/* A chain of the right form whose parts are now and then wrong, so that it gets further than the first check. */
static void
decent_chain(const struct device *device, uint32_t base)
{
	uint32_t head = ARENA + 0x80000 + below(0x1000), rest = ARENA + 0x90000, table = base + DESCRIPTORS;
	uint32_t bytes = OF(uint32_t, 44, 44, 12, 43, 4096);
	uint16_t last = OF(uint16_t, 0, 2);

	if (device->kind == BLOCK) {
		PLACE(uint32_t, head) = OF(uint32_t, 0, 0, 1, 1, 4, 8, 11, 13, UINT32_MAX);
		PLACE(uint64_t, head + 8) =
		    OF(uint64_t, 0, 1, 127, 128, (uint64_t)1 << 40, UINT64_MAX, UINT64_MAX / 512);
		bytes = 16;
		last = 2;
	} else if (device->kind == VSOCK) {
		PLACE(uint64_t, head) = OF(uint64_t, 3, 3, 3, 3, 2, 0, UINT64_MAX);
		PLACE(uint64_t, head + 8) = OF(uint64_t, 2, 2, 2, 2, 3, 1, UINT64_MAX);
		PLACE(uint32_t, head + 16) = below(4);
		PLACE(uint32_t, head + 20) = OF(uint32_t, 0, 1, 1u << 30, (1u << 30) + 1, UINT32_MAX);
		PLACE(uint32_t, head + 24) = length();
		PLACE(uint16_t, head + 28) = OF(uint16_t, 1, 1, 1, 1, 2, 0);
		PLACE(uint16_t, head + 30) = (uint16_t)below(9);
		PLACE(uint32_t, head + 32) = below(5);
		PLACE(uint32_t, head + 36) = OF(uint32_t, 0, 4096, UINT32_MAX);
	}
	describe(table, head, bytes, device->kind == BLOCK ? 1 : OF(uint16_t, 1, 3), 1);
	describe(table + 16, address(), length(), OF(uint16_t, 1, 3), 2);
	describe(table + 32, rest, device->kind == BLOCK ? OF(uint32_t, 0, 1, 1, 1, 20) : 4096, last, 3);
}

/* An access of any width where devices are, or where nothing is. */
static void
wild_memory(void)
{
	/* not the interrupt controllers: they are the kernel's, and would end this guest before its time */
	uint32_t at =
	    below(2) == 0 ? WINDOWS + below(16 * WINDOW) : (uint32_t)memory_end + below(WINDOWS - (uint32_t)memory_end);
	uint64_t value = next();
	uint32_t kind = below(8);

	at &= ~7u;
	at += below(2) == 0 ? 0 : below(8);
	switch (kind) {
	case 0:
		PLACE(uint8_t, at) = (uint8_t)value;
		break;
	case 1:
		PLACE(uint16_t, at) = (uint16_t)value;
		break;
	case 2:
		PLACE(uint32_t, at) = (uint32_t)value;
		break;
	case 3:
		PLACE(uint64_t, at) = value;
		break;
	case 4:
		(void)PLACE(uint8_t, at);
		break;
	case 5:
		(void)PLACE(uint16_t, at);
		break;
	case 6:
		(void)PLACE(uint32_t, at);
		break;
	default:
		(void)PLACE(uint64_t, at);
		break;
	}
}

static void
wild_port(void)
{
	uint16_t port = below(2) == 0 ? OF(uint16_t, 0x60, 0x64, 0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3fe, 0x3ff)
				      : (uint16_t)next();
	uint32_t value = (uint32_t)next();

	/* a reset, which comes at the end */
	if (port == 0x64 && (value & 0xff) == 0xfe)
		return;
	switch (below(4)) {
	case 0:
		(void)in(port);
		break;
	case 1:
		__asm__ volatile("outw %w0, %1" : : "a"(value), "Nd"(port));
		break;
	case 2:
		__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
		break;
	default:
		out(port, (uint8_t)value);
		break;
	}
}

static void
one_case(void)
{
	struct device *device = &devices[below(count)];
	uint32_t queue = below(device->queues + 1), mine = queue < device->queues ? queue : 0;
	uint32_t base = room(device, mine);
	uint16_t used;

	if (below(32) == 0)
		start(device);
	for (uint32_t i = 0; i < 20; i++)
		random_descriptor(base + DESCRIPTORS + 16 * i);
	if (below(2) == 0)
		decent_chain(device, base);
	/* indirect tables, where some of those above point to */
	for (uint32_t i = 0; i < 4; i++)
		random_descriptor(16 * i);
	for (uint32_t slot = 0; slot < 16; slot++)
		PLACE(uint16_t, base + AVAILABLE + 4 + 2 * slot) =
		    (uint16_t)(below(16) == 0 ? next() : OF(uint16_t, 0, 0, 0, 1, 5, 15));
	PLACE(uint16_t, base + AVAILABLE + 2) +=
	    below(16) == 0 ? OF(uint16_t, 0, 16, 17, 300, 0x8000, UINT16_MAX) : OF(uint16_t, 1, 1, 2);
	switch (below(8)) {
	case 0:
		set(device,
		    OF(uint32_t, 0x14, 0x20, 0x24, 0x30, 0x38, 0x44, 0x50, 0x64, 0x70, 0x80, 0xa4, 0xb0, 0x100, 0xffc),
		    (uint32_t)next());
		break;
	case 1:
		wild_memory();
		break;
	case 2:
		wild_port();
		break;
	}
	set(device, 0x50, queue);
	/* the device works while this goes on: what it reads changes under its hands */
	for (uint32_t i = 0; i < 8; i++)
		random_descriptor(base + DESCRIPTORS + 16 * below(20));
	used = PLACE(uint16_t, base + USED + 2);
	if (used != device->used[mine])
		device->answered++;
	device->used[mine] = used;
	/* DEVICE_NEEDS_RESET */
	if ((get(device, 0x70) & 64) != 0) {
		device->stopped++;
		start(device);
	}
}

/* The number after a name on the command line. */
static uint64_t
parameter(const char *line, const char *name)
{
	for (; *line != '\0'; line++) {
		size_t i = 0;

		while (name[i] != '\0' && line[i] == name[i])
			i++;
		if (name[i] == '\0') {
			uint64_t number = 0;

			for (line += i; *line >= '0' && *line <= '9'; line++)
				number = number * 10 + (uint64_t)(*line - '0');
			return (number);
		}
	}
	return (0);
}

static char
letter_after(const char *line, const char *name)
{
	for (; *line != '\0'; line++) {
		size_t i = 0;

		while (name[i] != '\0' && line[i] == name[i])
			i++;
		if (name[i] == '\0')
			return (line[i]);
	}
	return ('\0');
}

static void
end(char how)
{
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) nothing = {0, 0};

	if (how == 't')
		__asm__ volatile("lidt %0; int3" : : "m"(nothing));
	else if (how == 'n')
		((void (*)(void))(uintptr_t)0xc0000000u)();
	for (;;)
		out(0x64, 0xfe);
}

/* struct hvm_start_info (xen/include/public/arch-x86/hvm/start_info.h) */
void main(const uint32_t *start_info);

void
main(const uint32_t *start_info)
{
	const char *line = (const char *)(uintptr_t)start_info[6];
	const uint64_t *map = (const uint64_t *)(uintptr_t)start_info[10];
	uint64_t cases = parameter(line, "cases=");

	for (uint32_t i = 0; i < start_info[12]; i++)
		if (map[3 * i] == 0x100000)
			memory_end = map[3 * i] + map[3 * i + 1];
	state = parameter(line, "seed=") * 0x9e3779b97f4a7c15u | 1;
	serial_again();
	for (uint32_t i = 0; i < MOST_DEVICES; i++) {
		struct device *device = &devices[count];

		device->base = WINDOWS + i * WINDOW;
		if (get(device, 0) != 0x74726976)
			continue;
		device->kind = get(device, 8);
		device->queues = device->kind == NET ? 2 : device->kind == VSOCK ? 3 : 1;
		start(device);
		count++;
	}
	if (count == 0 || memory_end == 0) {
		say("hostile: no devices\r\n");
		end('r');
	}
	for (uint64_t i = 0; i < cases; i++) {
		if (i == cases / 10) {
			serial_again();
			say("hostile: warm\r\n");
			wait_for_byte();
		}
		one_case();
	}
	serial_again();
	for (uint32_t i = 0; i < count; i++) {
		say("hostile: device ");
		say_number(devices[i].kind);
		say(" answered ");
		say_number(devices[i].answered);
		say(" stopped ");
		say_number(devices[i].stopped);
		say("\r\n");
	}
	say("hostile: done\r\n");
	wait_for_byte();
	end(letter_after(line, "end="));
}
