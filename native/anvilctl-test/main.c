/* SPDX-License-Identifier: Apache-2.0 */
#include "tests.h"

const char *const pieces[] = {"\r\n", "\n", "\r\n\r\n", " ", ":", "Content-Length: 12\r\n",
    "Content-Length: 99999999\r\n", "Transfer-Encoding: chunked\r\n", "HTTP/1.1 204 \r\n", "{", "}", "[", "]",
    "[[[[[[[[", "\"", "\\", "\\u", "\\ud83d", "\\udc00", "\\u0000", ",", "-0", "1e9", "0.5", "null", "true", "\x80",
    "\xf4\x90\x80\x80", "\xc3\xa4", "9999999999999999999999", NULL};

int
main(void)
{
	test_json();
	test_http();
	test_client();
	test_kvm();
	test_boot();
	printf("all tests hold\n");
	return (0);
}
