/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * For pgcrypto: ciphers that our libcrypto does not have. pgcrypto takes NULL as upstream's does when the provider of
 * old algorithms is not loaded: "no such cipher algorithm". crypt() and gen_salt() have their own code and are whole.
 */
#ifndef POSTGRES_ABSENT_CIPHERS_H
#define POSTGRES_ABSENT_CIPHERS_H

#include <openssl/evp.h>

#define ABSENT(cipher) \
	static inline const EVP_CIPHER *cipher(void) \
	{ \
		return (NULL); \
	}

#ifdef OPENSSL_NO_BF
ABSENT(EVP_bf_cbc)
ABSENT(EVP_bf_cfb)
ABSENT(EVP_bf_ecb)
#endif
#ifdef OPENSSL_NO_CAST
ABSENT(EVP_cast5_cbc)
ABSENT(EVP_cast5_ecb)
#endif
#ifdef OPENSSL_NO_DES
ABSENT(EVP_des_cbc)
ABSENT(EVP_des_ecb)
ABSENT(EVP_des_ede3_cbc)
ABSENT(EVP_des_ede3_ecb)
#endif

#undef ABSENT
#endif
