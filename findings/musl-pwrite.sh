#!/bin/sh
# musl 1.2.6 makes pwrite() another system call: pwritev2 with RWF_NOAPPEND, not pwrite64. A seccomp filter that names the
# calls of a program by what strace showed with musl 1.2.5 refuses its first positioned write after the upgrade.
#
# Seen with Debian's musl-dev 1.2.5-3.1~deb13u1 and 1.2.6-1, amd64, Linux 6.1 and later:
#
#   musl 1.2.5  pwritev2 refused: pwrite gives 1
#   musl 1.2.6  pwritev2 refused: pwrite gives -1, Operation not permitted
#
# The way back to pwrite64 is taken for "no such system call" and "not supported" only. glibc 2.36 calls pwrite64.
# Ends with 1 when either line changes. Needs gcc, curl and dpkg-deb; nothing is installed.
#
#   findings/musl-pwrite.sh [mirror of the Debian archive]
set -eu
mirror=${1:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat > refused.c <<'C'
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* linux/filter.h and linux/seccomp.h, as far as this needs them: musl-dev has no headers of the kernel. */
struct instruction { unsigned short code; unsigned char then, otherwise; unsigned value; };
struct program { unsigned short length; const struct instruction *first; };

int
main(void)
{
	static const struct instruction filter[] = {
		{ 0x20, 0, 0, 0 },               /* the number of the call */
		{ 0x15, 0, 1, SYS_pwritev2 },
		{ 0x06, 0, 0, 0x00050000 | EPERM },
		{ 0x06, 0, 0, 0x7fff0000 },      /* all others */
	};
	const struct program program = { sizeof(filter) / sizeof(filter[0]), filter };
	int file = open("file", O_RDWR | O_CREAT, 0600);
	long written;

	if (file < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, 2, &program) != 0)
		return (2);
	written = pwrite(file, "x", 1, 0);
	printf("pwritev2 refused: pwrite gives %ld%s%s\n", written, written < 0 ? ", " : "", written < 0 ? strerror(errno) : "");
	return (0);
}
C

# said VERSION SHA256: what the program says when it is linked with that version
said() {
	file=musl-dev_$1_amd64.deb
	curl -sSf -o "$file" "${mirror%/}/pool/main/m/musl/$file"
	echo "$2  $file" | sha256sum --quiet -c
	dpkg-deb -x "$file" "$1"
	include=$(find "$1" -name stdio.h -printf '%h\n')
	lib=$(find "$1" -name libc.a -printf '%h\n')
	gcc -nostdinc -isystem "$include" -isystem "$(gcc -print-file-name=include)" -static -nostdlib -fno-stack-protector \
		-no-pie -fno-pie -o refused "$lib/crt1.o" "$lib/crti.o" refused.c "$lib/libc.a" -lgcc "$lib/crtn.o"
	./refused
}

old=$(said '1.2.5-3.1~deb13u1' a3f7d47e452129bb65aae201d6c115abf4d5d3efb136b38b7c6b4fa03ec065e9)
new=$(said '1.2.6-1' 8d45738f6ce9fcb5a2dfb812f63409b0c2f2f0005caf5806131266fd64641e98)
echo "musl 1.2.5  $old"
echo "musl 1.2.6  $new"
[ "$old" = "pwritev2 refused: pwrite gives 1" ]
[ "$new" = "pwritev2 refused: pwrite gives -1, Operation not permitted" ]
