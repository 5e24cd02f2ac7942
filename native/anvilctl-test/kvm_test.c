/* SPDX-License-Identifier: Apache-2.0 */
#include "../anvilctl/kvm.h"

#include <errno.h>
#include <string.h>

#include "tests.h"

static struct anvil_vmm_error error;

static bool
fails(struct kvm_facts facts, const char *code, const char *part)
{
	return (!kvm_judge(&facts, &error) && strcmp(error.code, code) == 0 && strstr(error.message, part) != NULL);
}

/* A sentence for each way in which KVM is missing. */
void
test_kvm(void)
{
	const struct kvm_facts well = {.processor = true, .kernel_flag = true, .version = 12};
	struct kvm_facts facts = well;

	CHECK(kvm_judge(&well, &error));
	facts.open_errno = EACCES;
	CHECK(fails(facts, "E_VMM_KVM_PERMISSION", "may not open"));
	facts.open_errno = ENOENT;
	CHECK(fails(facts, "E_VMM_KVM_DEVICE", "there is no /dev/kvm"));
	strcpy(facts.log, "kvm_intel: VMX disabled by something");
	CHECK(fails(facts, "E_VMM_KVM_FIRMWARE", "the kernel says: kvm_intel"));
	facts = well;
	facts.open_errno = ENOENT;
	facts.kernel_flag = false;
	CHECK(fails(facts, "E_VMM_KVM_FIRMWARE", "the processor has VMX, but the firmware has it disabled"));
	facts.amd = true;
	CHECK(fails(facts, "E_VMM_KVM_FIRMWARE", "the processor has SVM") && strstr(error.hint, "SVM") != NULL);
	facts.processor = false;
	CHECK(fails(facts, "E_VMM_KVM_PROCESSOR", "does not offer"));
	facts.virtual = true;
	CHECK(fails(facts, "E_VMM_KVM_NESTED", "nested virtualization is off"));
	facts = well;
	facts.open_errno = EIO;
	CHECK(fails(facts, "E_VMM_KVM_DEVICE", "cannot be opened"));
	facts = well;
	facts.version = 11;
	CHECK(fails(facts, "E_VMM_KVM_VERSION", "version 11"));
	facts = well;
	facts.missing = "KVM_CAP_IRQFD";
	CHECK(fails(facts, "E_VMM_KVM_VERSION", "lacks KVM_CAP_IRQFD"));
	facts = well;
	facts.create_errno = EBUSY;
	CHECK(fails(facts, "E_VMM_KVM_CREATE", "another hypervisor"));
	facts.create_errno = ENOMEM;
	CHECK(fails(facts, "E_VMM_KVM_CREATE", "no virtual machine can be made"));
	facts = well;
	facts.vcpu_errno = EINVAL;
	CHECK(fails(facts, "E_VMM_KVM_CREATE", "no processor in it"));
	/* whatever this machine has */
	kvm_look(&facts);
	(void)kvm_judge(&facts, &error);
}
