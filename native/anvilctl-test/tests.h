/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ANVILCTL_TESTS_H
#define ANVILCTL_TESTS_H

#include "../test/check.h"

void test_json(void);
void test_http(void);
void test_client(void);
void test_kvm(void);
void test_boot(void);

#endif
