/* SPDX-License-Identifier: Apache-2.0 */
#include "tests.h"

const char *const pieces[] = {"\n", " ", "/", "..", "%20", "%2", "%00", "0", "9999999999999999999999", "end\n", "\n\n",
    "dir 755 a\n", "link a b\n", "chunk 1 1 ", "\x80", "\xf4\x90\x80\x80", "service x\n", "health 1 a\n", "needs a 1\n",
    ".anvil", "-1", "4194304", "file 755 0 ", "\t", "ANVIL-INGOT 1 ", NULL};

int
main(void)
{
	test_manifest();
	test_frames();
	test_trust();
	test_chunk();
	test_tree();
	printf("all tests hold\n");
	return (0);
}
