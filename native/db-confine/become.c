/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "confine.h"

bool
become(uid_t user)
{
	/* more than any kernel has: those that it does not know are refused */
	for (int capability = 0; capability < 64; capability++)
		prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
	return ((setgroups(1, &(gid_t){user}) == 0 && setresgid(user, user, user) == 0 &&
		    setresuid(user, user, user) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) ||
	    failed("become", "the user"));
}

#define LOAD(member)      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member))
#define ANSWER(value)     BPF_STMT(BPF_RET | BPF_K, value)
#define REFUSE            ANSWER(SECCOMP_RET_ERRNO | EPERM)
#define REFUSE_CALL(name) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##name, 0, 1), REFUSE

/* The newest calls, whose names older headers do not have: all calls from mount_setattr's number on are refused. */
#define FIRST_UNKNOWN 442

bool
filter_system_calls(void)
{
	static struct sock_filter program[] = {
	    LOAD(arch),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
	    ANSWER(SECCOMP_RET_KILL_PROCESS),
	    LOAD(nr),
	    /* x32 */
	    BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1),
	    REFUSE,
	    BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, FIRST_UNKNOWN, 0, 1),
	    ANSWER(SECCOMP_RET_ERRNO | ENOSYS),
	    /* its flags are in memory; C libraries go on with clone */
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_clone3, 0, 1),
	    ANSWER(SECCOMP_RET_ERRNO | ENOSYS),
	    /* keys are the user's everywhere, not the namespace's */
	    REFUSE_CALL(keyctl),
	    REFUSE_CALL(add_key),
	    REFUSE_CALL(request_key),
	    REFUSE_CALL(bpf),
	    REFUSE_CALL(userfaultfd),
	    REFUSE_CALL(io_uring_setup),
	    REFUSE_CALL(io_uring_enter),
	    REFUSE_CALL(io_uring_register),
	    REFUSE_CALL(perf_event_open),
	    REFUSE_CALL(ptrace),
	    REFUSE_CALL(process_vm_readv),
	    REFUSE_CALL(process_vm_writev),
	    REFUSE_CALL(kcmp),
	    REFUSE_CALL(pidfd_getfd),
	    REFUSE_CALL(unshare),
	    REFUSE_CALL(setns),
	    REFUSE_CALL(mount),
	    REFUSE_CALL(umount2),
	    REFUSE_CALL(pivot_root),
	    REFUSE_CALL(chroot),
	    REFUSE_CALL(open_tree),
	    REFUSE_CALL(move_mount),
	    REFUSE_CALL(fsopen),
	    REFUSE_CALL(fsconfig),
	    REFUSE_CALL(fsmount),
	    REFUSE_CALL(fspick),
	    REFUSE_CALL(name_to_handle_at),
	    REFUSE_CALL(open_by_handle_at),
	    REFUSE_CALL(kexec_load),
	    REFUSE_CALL(init_module),
	    REFUSE_CALL(finit_module),
	    /* clients and other databases, names of machines; no families that reach virtual machines or little used code */
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_socket, 0, 7),
	    LOAD(args[0]),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_UNIX, 4, 0),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 3, 0),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 2, 0),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 1, 0),
	    ANSWER(SECCOMP_RET_ERRNO | EAFNOSUPPORT),
	    ANSWER(SECCOMP_RET_ALLOW),
	    /* clone with a new namespace; the flags are the low word of the first argument */
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_clone, 0, 3),
	    LOAD(args[0]),
	    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K,
		CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
		    CLONE_NEWCGROUP,
		0, 1),
	    REFUSE,
	    ANSWER(SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog filter = {sizeof(program) / sizeof(program[0]), program};

	return (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) == 0 || failed("filter", "system calls"));
}
