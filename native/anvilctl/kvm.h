/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * Whether this system can run guests, and if not, why: finding the facts is apart from judging them.
 */
#ifndef ANVILCTL_KVM_H
#define ANVILCTL_KVM_H

#include <stdbool.h>

#include "anvil_vmm.h"

struct kvm_facts {
	bool processor; /* CPUID says VMX or SVM */
	bool kernel_flag; /* /proc/cpuinfo does too: the kernel takes the flag away when the firmware has it disabled */
	bool amd; /* names SVM in sentences, else VMX */
	bool virtual; /* this system is a guest itself */
	char log[256]; /* what the kernel said about KVM last; may be empty */
	int open_errno; /* of opening /dev/kvm; 0 when it could be opened */
	int version; /* KVM_GET_API_VERSION */
	const char *missing; /* an extension that is not there, or NULL */
	int create_errno; /* of KVM_CREATE_VM */
	int vcpu_errno; /* of KVM_CREATE_VCPU */
};

void kvm_look(struct kvm_facts *facts);

/* True when guests can run. Fails with a code and a sentence for each way in which it is missing. */
bool kvm_judge(const struct kvm_facts *facts, struct anvil_vmm_error *error);

#endif
