/**
 * A boot sector that finds out whether a processor is really there. It writes one letter to the debug console (port
 * 0xE9) after each thing that a kernel needs and that half-working KVMs fail at:
 *
 * | letter | what worked                                                  |
 * |--------|--------------------------------------------------------------|
 * | r      | real mode: the BIOS ran and loaded the sector                |
 * | l      | long mode with 2 MiB pages                                   |
 * | f      | x87 and SSE arithmetic, with the right result                |
 * | m      | first touch of 32 MiB of memory, page by page                |
 * | c      | 1000 CPUID exits                                             |
 * | t      | 20 timer interrupts at 1 kHz, each waking a HLT              |
 *
 * Then it leaves through isa-debug-exit (port 0xF4) with 0x10, or 0x11 when the arithmetic was wrong.
 */
import { bootSector } from "./boot-sector.ts";

/** What the guest writes when all is well. */
export const PROBE_LETTERS = "rlfmct";

/** Exit status of QEMU after the guest wrote 0x10 to isa-debug-exit: (value << 1) | 1. */
export const PROBE_EXIT = 0x21;

/** A disk image that boots the probe. */
export const probeImage = bootSector(`
7c00  fa                  cli
7c01  66 31c0             xor eax, eax
7c04  8ed8                mov ds, ax
7c06  8ec0                mov es, ax
7c08  8ed0                mov ss, ax
7c0a  bc 007c             mov sp, 0x7c00
7c0d  fc                  cld
7c0e  bf 0010             mov di, 0x1000           ; page tables: PML4 0x1000, PDPT 0x2000, PD 0x3000
7c11  b9 000c             mov cx, 0xc00
7c14  66 f3ab             rep stosd
7c17  66 c7060010 03200000  mov dword [0x1000], 0x2003
7c20  66 c7060020 03300000  mov dword [0x2000], 0x3003
7c29  bf 0030             mov di, 0x3000
7c2c  66 b8 83000000      mov eax, 0x83            ; present, writable, 2 MiB
7c32  b9 2000             mov cx, 32
7c35  66 ab               stosd
7c37  83c7 04             add di, 4
7c3a  66 05 00002000      add eax, 0x200000
7c40  e2 f3               loop 0x7c35
7c42  66 c7068040 2e7d0800  mov dword [0x4080], 0x00087d2e ; interrupt 8 is IRQ 0, as the BIOS leaves the PIC
7c4b  66 c7068440 008e0000  mov dword [0x4084], 0x00008e00
7c54  66 c7068840 00000000  mov dword [0x4088], 0
7c5d  66 c7068c40 00000000  mov dword [0x408c], 0
7c66  b0 72               mov al, 'r'
7c68  e6 e9               out 0xe9, al
7c6a  0f0116 507d         lgdt [0x7d50]
7c6f  0f011e 567d         lidt [0x7d56]
7c74  66 b8 20060000      mov eax, 0x620           ; PAE, OSFXSR, OSXMMEXCPT
7c7a  0f22e0              mov cr4, eax
7c7d  66 b8 00100000      mov eax, 0x1000
7c83  0f22d8              mov cr3, eax
7c86  66 b9 800000c0      mov ecx, 0xc0000080      ; EFER
7c8c  0f32                rdmsr
7c8e  80cc 01             or ah, 1                 ; LME
7c91  0f30                wrmsr
7c93  0f20c0              mov eax, cr0
7c96  24 fb               and al, 0xfb             ; no FPU emulation
7c98  66 0d 03000080      or eax, 0x80000003       ; paging, FPU monitor, protection
7c9e  0f22c0              mov cr0, eax
7ca1  ea a67c 0800        jmp 0x08:0x7ca6
                          ; 64-bit from here
7ca6  b8 10000000         mov eax, 0x10
7cab  8ed8                mov ds, eax
7cad  8ec0                mov es, eax
7caf  8ed0                mov ss, eax
7cb1  b0 6c               mov al, 'l'
7cb3  e6 e9               out 0xe9, al
7cb5  dbe3                fninit
7cb7  6a 07               push 7
7cb9  df2c24              fild qword [rsp]
7cbc  d8c8                fmul st0, st0
7cbe  df3c24              fistp qword [rsp]
7cc1  f2480f2a0424        cvtsi2sd xmm0, qword [rsp]
7cc7  f20f59c0            mulsd xmm0, xmm0
7ccb  f20f2cc0            cvttsd2si eax, xmm0
7ccf  3d 61090000         cmp eax, 2401            ; 7 to the 4th
7cd4  75 51               jne 0x7d27
7cd6  b0 66               mov al, 'f'
7cd8  e6 e9               out 0xe9, al
7cda  bf 00001000         mov edi, 0x100000
7cdf  b9 00200000         mov ecx, 8192
7ce4  893f                mov [rdi], edi
7ce6  81c7 00100000       add edi, 4096
7cec  e2 f6               loop 0x7ce4
7cee  b0 6d               mov al, 'm'
7cf0  e6 e9               out 0xe9, al
7cf2  be e8030000         mov esi, 1000
7cf7  31c0                xor eax, eax
7cf9  0fa2                cpuid
7cfb  ffce                dec esi
7cfd  75 f8               jnz 0x7cf7
7cff  b0 63               mov al, 'c'
7d01  e6 e9               out 0xe9, al
7d03  b0 34               mov al, 0x34             ; PIT channel 0, rate generator, 1193 ticks of 1.193 MHz
7d05  e6 43               out 0x43, al
7d07  b0 a9               mov al, 0xa9
7d09  e6 40               out 0x40, al
7d0b  b0 04               mov al, 0x04
7d0d  e6 40               out 0x40, al
7d0f  b0 fe               mov al, 0xfe             ; only IRQ 0
7d11  e6 21               out 0x21, al
7d13  bb 14000000         mov ebx, 20
7d18  fb                  sti
7d19  f4                  hlt
7d1a  fa                  cli
7d1b  85db                test ebx, ebx
7d1d  79 f9               jns 0x7d18
7d1f  b0 74               mov al, 't'
7d21  e6 e9               out 0xe9, al
7d23  b0 10               mov al, 0x10
7d25  eb 02               jmp 0x7d29
7d27  b0 11               mov al, 0x11
7d29  e6 f4               out 0xf4, al
7d2b  f4                  hlt
7d2c  eb fd               jmp 0x7d2b
                          ; the timer
7d2e  50                  push rax
7d2f  ffcb                dec ebx
7d31  b0 20               mov al, 0x20
7d33  e6 20               out 0x20, al
7d35  58                  pop rax
7d36  48cf                iretq
                          ; GDT: null, 64-bit code, data; then the two descriptors
7d38  0000000000000000
7d40  00000000009a2000
7d48  0000000000920000
7d50  1700 387d0000
7d56  8f00 00400000
`);
