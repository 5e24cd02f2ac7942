#!/bin/sh
# Since PostgreSQL 16 a program does not link with a static libpq by what `pkg-config --static --libs libpq` says: libpq.pc
# names -lpgcommon, and libpq calls two functions that only libpgcommon_shlib, the one for shared libraries, has.
#
# Seen with Debian's libpq-dev and postgresql-server-dev-17 17.12-0+deb13u1, amd64:
#
#   libpq.pc 17.12, Libs.private: -lpgcommon -lpgport -lssl -lgssapi_krb5 -lm -lldap
#   -lpgcommon -lpgport              missing: pg_char_to_encoding pg_encoding_to_char
#   -lpgcommon_shlib -lpgport_shlib  missing: nothing of PostgreSQL
#
# In libpgcommon both names end in _private (USE_PRIVATE_ENCODING_FUNCS), so that a program does not meet those of a shared libpq.
# Ends with 1 when one of these lines changes. Needs gcc, curl and dpkg-deb; nothing is installed.
#
#   findings/static-libpq.sh [mirror of the Debian archive]
set -eu
mirror=${1:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# unpack NAME SHA256: a package of PostgreSQL 17, here
unpack() {
	file=$1_17.12-0+deb13u1_amd64.deb
	curl -sSf -o "$file" "${mirror%/}/pool/main/p/postgresql-17/$file"
	echo "$2  $file" | sha256sum --quiet -c
	dpkg-deb -x "$file" .
}
unpack libpq-dev 1b85e44447cb99c8de59995be228d6f3763ca3200c1234caba72f1f74b86acf6
unpack postgresql-server-dev-17 d524d6d8169ce6c5733ab6b91caacfcf1d750123628cc43122baf8a8459a0f61

cat > connects.c <<'C'
#include <libpq-fe.h>
int
main(void)
{
	return (PQconnectdb("") == NULL);
}
C

# missing LIBRARY…: what of PostgreSQL the linker does not find. What is of OpenSSL, Kerberos and LDAP is not linked here.
missing() {
	gcc -Iusr/include/postgresql -o connects connects.c -Lusr/lib/x86_64-linux-gnu -Lusr/lib/postgresql/17/lib -l:libpq.a "$@" \
		2>&1 | sed -n "s/.*undefined reference to .\(pg_[a-z_]*\).*/\1/p" | sort -u | tr '\n' ' '
}

said=$(sed -n 's/^Libs.private: *//p' usr/lib/x86_64-linux-gnu/pkgconfig/libpq.pc)
plain=$(missing -lpgcommon -lpgport)
shared=$(missing -lpgcommon_shlib -lpgport_shlib)
echo "libpq.pc 17.12, Libs.private: $said"
echo "-lpgcommon -lpgport              missing: ${plain:-nothing of PostgreSQL}"
echo "-lpgcommon_shlib -lpgport_shlib  missing: ${shared:-nothing of PostgreSQL}"
[ "${said#-lpgcommon -lpgport }" != "$said" ]
[ "$plain" = "pg_char_to_encoding pg_encoding_to_char " ]
[ -z "$shared" ]
