/* SPDX-License-Identifier: Apache-2.0 */
/*
 * anvil-db-certificate KEY CERTIFICATE NAME: makes a key on the curve P-256 and a certificate for it that it signs
 * itself (RFC 5280, ECDSA with SHA-256), for servers of ANVIL-DB. Both files are in PEM; the certificate is written
 * last, and whole or not at all.
 */
#include <fcntl.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A clock that is a little slow must not find it to be of the future. */
#define BEGINS     (-24L * 60 * 60)
#define DAYS       3650
#define NAME_BYTES 200

static bool
add_extension(X509 *certificate, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;
	bool well;

	X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	well = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return (well);
}

static bool
set_serial(X509 *certificate)
{
	BIGNUM *number = BN_new();
	/* RFC 5280, 4.1.2.2: positive, up to 20 bytes */
	bool well = number != NULL && BN_rand(number, 128, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
	    BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;

	BN_free(number);
	return (well);
}

/* Signed by itself: one name is both. */
static bool
set_name(X509 *certificate, const char *name)
{
	/* that of the certificate cannot be changed in place since OpenSSL 4.0 */
	X509_NAME *both = X509_NAME_new();
	bool well = both != NULL &&
	    X509_NAME_add_entry_by_txt(both, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0) == 1 &&
	    X509_set_subject_name(certificate, both) == 1 && X509_set_issuer_name(certificate, both) == 1;

	X509_NAME_free(both);
	return (well);
}

static bool
fill(X509 *certificate, EVP_PKEY *key, const char *name)
{
	char names[NAME_BYTES * 2];

	snprintf(names, sizeof(names), "DNS:%s,DNS:localhost,IP:127.0.0.1", name);
	return (X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate) &&
	    X509_gmtime_adj(X509_getm_notBefore(certificate), BEGINS) != NULL &&
	    X509_time_adj_ex(X509_getm_notAfter(certificate), DAYS, 0, NULL) != NULL && set_name(certificate, name) &&
	    X509_set_pubkey(certificate, key) == 1 && add_extension(certificate, NID_subject_alt_name, names) &&
	    add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") &&
	    add_extension(certificate, NID_key_usage, "critical,digitalSignature") &&
	    add_extension(certificate, NID_ext_key_usage, "serverAuth") &&
	    X509_sign(certificate, key, EVP_sha256()) > 0);
}

/* Writes to a new file beside the path, which then takes its place. */
static bool
write_file(const char *path, EVP_PKEY *key, X509 *certificate)
{
	char fresh[4096];
	FILE *file;
	bool well;
	int fd;

	if (snprintf(fresh, sizeof(fresh), "%s.new", path) >= (int)sizeof(fresh))
		return (false);
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	file = fd < 0 ? NULL : fdopen(fd, "w");
	if (file == NULL)
		return (false);
	well = key != NULL ? PEM_write_PKCS8PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1
			   : PEM_write_X509(file, certificate) == 1;
	well = fflush(file) == 0 && fsync(fd) == 0 && well;
	return (fclose(file) == 0 && well && rename(fresh, path) == 0);
}

int
main(int argc, char **argv)
{
	X509 *certificate = X509_new();
	EVP_PKEY *key = EVP_EC_gen("P-256");

	if (argc != 4 || argv[3][0] == '\0' || strlen(argv[3]) > NAME_BYTES || strpbrk(argv[3], ",:\n") != NULL) {
		fprintf(stderr, "usage: anvil-db-certificate KEY CERTIFICATE NAME\n");
		return (2);
	}
	if (certificate == NULL || key == NULL || !fill(certificate, key, argv[3])) {
		ERR_print_errors_fp(stderr);
		return (1);
	}
	if (!write_file(argv[1], key, NULL) || !write_file(argv[2], NULL, certificate)) {
		perror("cannot write the key and its certificate");
		return (1);
	}
	return (0);
}
