/* SPDX-License-Identifier: Apache-2.0 */
#include "kvm.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <unistd.h>

#include "error.h"

#define DEVICE "/dev/kvm"

/* What anvil-vmm and Firecracker ask of KVM; Linux has had the last of these since 2.6.39. */
static const struct {
	int number;
	const char *name;
} extensions[] = {
    {KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP"},
    {KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY"},
    {KVM_CAP_SET_TSS_ADDR, "KVM_CAP_SET_TSS_ADDR"},
    {KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID"},
    {KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE"},
    {KVM_CAP_IRQFD, "KVM_CAP_IRQFD"},
    {KVM_CAP_PIT2, "KVM_CAP_PIT2"},
    {KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD"},
    {KVM_CAP_ADJUST_CLOCK, "KVM_CAP_ADJUST_CLOCK"},
    {KVM_CAP_TSC_DEADLINE_TIMER, "KVM_CAP_TSC_DEADLINE_TIMER"},
};

/* Intel SDM volume 3, 24.6; AMD APM volume 2, 15.4. Bit 31 of leaf 1 is what hypervisors set. */
static void
ask_processor(struct kvm_facts *facts)
{
	unsigned a, b, c, d;

	facts->amd = __get_cpuid(0, &a, &b, &c, &d) != 0 && (b == signature_AMD_ebx || b == 0x6f677948 /* Hygon */);
	if (__get_cpuid(1, &a, &b, &c, &d) != 0) {
		facts->virtual = (c & 1u << 31) != 0;
		facts->processor = (c & 1u << 5) != 0;
	}
	if (__get_cpuid(0x80000001, &a, &b, &c, &d) != 0)
		facts->processor |= (c & 1u << 2) != 0;
}

static void
ask_kernel(struct kvm_facts *facts)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	char *line = NULL;
	size_t size = 0;

	while (file != NULL && !facts->kernel_flag && getline(&line, &size, file) > 0)
		facts->kernel_flag = strncmp(line, "flags", 5) == 0 &&
		    (strstr(line, " vmx") != NULL || strstr(line, " svm ") != NULL || strstr(line, " svm\n") != NULL);
	free(line);
	if (file != NULL)
		fclose(file);
}

/* The last line of the kernel's messages that is about it. SYSLOG_ACTION_READ_ALL is 3; it may not be permitted. */
static void
read_log(struct kvm_facts *facts)
{
	static char messages[256 * 1024];
	int length = klogctl(3, messages, sizeof(messages) - 1);

	messages[length > 0 ? length : 0] = '\0';
	for (char *line = strtok(messages, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		const char *text = strchr(line, ']');

		text = text == NULL ? line : text + 1 + (text[1] == ' ');
		if (strncmp(text, "kvm", 3) == 0 || strstr(text, "disabled by BIOS") != NULL)
			snprintf(facts->log, sizeof(facts->log), "%s", text);
	}
	make_printable(facts->log);
}

static void
try_machine(int kvm, struct kvm_facts *facts)
{
	int vm = ioctl(kvm, KVM_CREATE_VM, 0);
	int vcpu = vm < 0 ? -1 : ioctl(vm, KVM_CREATE_VCPU, 0);

	facts->create_errno = vm < 0 ? errno : 0;
	facts->vcpu_errno = vm >= 0 && vcpu < 0 ? errno : 0;
	if (vcpu >= 0)
		close(vcpu);
	if (vm >= 0)
		close(vm);
}

void
kvm_look(struct kvm_facts *facts)
{
	int kvm = open(DEVICE, O_RDWR | O_CLOEXEC);

	*facts = (struct kvm_facts){.open_errno = kvm < 0 ? errno : 0};
	ask_processor(facts);
	ask_kernel(facts);
	read_log(facts);
	if (kvm < 0)
		return;
	facts->version = ioctl(kvm, KVM_GET_API_VERSION, 0);
	for (size_t i = 0; i < sizeof(extensions) / sizeof(extensions[0]) && facts->missing == NULL; i++) {
		if (ioctl(kvm, KVM_CHECK_EXTENSION, extensions[i].number) <= 0)
			facts->missing = extensions[i].name;
	}
	try_machine(kvm, facts);
	close(kvm);
}

/* There is no device, or nothing behind it: what the processor and the kernel say tells why. */
static bool
judge_absence(const struct kvm_facts *facts, struct anvil_vmm_error *error)
{
	const char *feature = facts->amd ? "SVM" : "VMX";

	if (!facts->processor && facts->virtual)
		return (fail(error, "E_VMM_KVM_NESTED",
		    "on the host: kvm_intel or kvm_amd with nested=1, and a guest processor with vmx or svm (QEMU: -cpu host)",
		    "this system is a guest itself, and its host does not pass %s on: nested virtualization is off",
		    feature));
	if (!facts->processor)
		return (fail(error, "E_VMM_KVM_PROCESSOR",
		    "some firmware hides it until virtualization is enabled in its setup",
		    "the processor does not offer VMX or SVM"));
	if (!facts->kernel_flag)
		return (fail(error, "E_VMM_KVM_FIRMWARE",
		    facts->amd
			? "enable \"SVM\" in the firmware's setup, and switch the machine off once"
			: "enable \"Intel Virtualization Technology\" (VT-x) in the firmware's setup, and switch the machine off once",
		    "the processor has %s, but the firmware has it disabled", feature));
	if (strstr(facts->log, "isabled") != NULL)
		return (fail(error, "E_VMM_KVM_FIRMWARE",
		    "enable virtualization in the firmware's setup, and switch the machine off once",
		    "KVM does not start; the kernel says: %s", facts->log));
	return (fail(error, "E_VMM_KVM_DEVICE",
	    "the kernel needs CONFIG_KVM and CONFIG_KVM_INTEL or CONFIG_KVM_AMD; a container needs the device",
	    "there is no " DEVICE ", though the processor has %s%s%s", feature,
	    facts->log[0] == '\0' ? "" : "; the kernel says: ", facts->log));
}

bool
kvm_judge(const struct kvm_facts *facts, struct anvil_vmm_error *error)
{
	switch (facts->open_errno) {
	case 0:
		break;
	case EACCES:
	case EPERM:
		return (fail(error, "E_VMM_KVM_PERMISSION", "become root, or a member of the group that owns " DEVICE,
		    "this user may not open " DEVICE));
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return (judge_absence(facts, error));
	default:
		return (
		    fail(error, "E_VMM_KVM_DEVICE", NULL, DEVICE " cannot be opened: %s", strerror(facts->open_errno)));
	}
	if (facts->version != KVM_API_VERSION)
		return (fail(error, "E_VMM_KVM_VERSION", "is " DEVICE " the device of KVM?",
		    "KVM's API has version %d, not %d", facts->version, KVM_API_VERSION));
	if (facts->missing != NULL)
		return (fail(
		    error, "E_VMM_KVM_VERSION", "a newer kernel has it", "this kernel's KVM lacks %s", facts->missing));
	if (facts->create_errno == EBUSY)
		return (fail(error, "E_VMM_KVM_CREATE", "end the other one, such as VirtualBox",
		    "no virtual machine can be made: another hypervisor uses the processor's %s",
		    facts->amd ? "SVM" : "VMX"));
	if (facts->create_errno != 0)
		return (fail(error, "E_VMM_KVM_CREATE", NULL, "no virtual machine can be made: %s",
		    strerror(facts->create_errno)));
	if (facts->vcpu_errno != 0)
		return (fail(error, "E_VMM_KVM_CREATE", NULL,
		    "a virtual machine can be made, but no processor in it: %s", strerror(facts->vcpu_errno)));
	return (true);
}
