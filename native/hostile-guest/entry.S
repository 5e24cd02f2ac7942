/* SPDX-License-Identifier: Apache-2.0 */
/* From the PVH entry (32 bits, no paging) to main() in long mode, with the lower 4 GiB mapped where they are. */

	.section .note.pvh, "a", @note
	.balign 4
	.long 4, 4, 18			/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long entry

	.section .text.entry, "ax", @progbits
	.code32
	.globl entry
entry:
	cli
	cld
	mov $stack_end, %esp
	mov $directories, %edi		/* 2048 pages of 2 MiB */
	mov $0x83, %eax
1:	mov %eax, (%edi)
	add $8, %edi
	add $0x200000, %eax
	jnc 1b
	mov $pointers, %edi
	mov $directories + 3, %eax
	mov $4, %ecx
2:	mov %eax, (%edi)
	add $8, %edi
	add $0x1000, %eax
	loop 2b
	movl $pointers + 3, top
	mov $top, %eax
	mov %eax, %cr3
	mov $0x20, %eax			/* PAE */
	mov %eax, %cr4
	mov $0xc0000080, %ecx		/* EFER: LME */
	rdmsr
	or $0x100, %eax
	wrmsr
	mov %cr0, %eax
	or $0x80000001, %eax
	mov %eax, %cr0
	lgdt table
	ljmp $8, $long_mode

	.code64
long_mode:
	mov $16, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov %ebx, %edi			/* struct hvm_start_info */
	call main
3:	hlt
	jmp 3b

	.section .rodata
	.balign 8
descriptors:
	.quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
table:
	.word 23
	.quad descriptors

	.bss
	.balign 4096
top:		.skip 4096
pointers:	.skip 4096
directories:	.skip 4 * 4096
		.skip 16384
stack_end:

	.section .note.GNU-stack, "", @progbits
