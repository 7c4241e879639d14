/* OpenSSL 3 for Swift: its headers, and the macros that Swift cannot see. */
#ifndef GENIE_OPENSSL_SHIM_H
#define GENIE_OPENSSL_SHIM_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/obj_mac.h>
#include <openssl/param_build.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

/* Allows TLS 1.3 and nothing else, without tickets, session cache or
 * renegotiation; idle connections give their buffers back. 1 on success.
 */
static inline int genie_ssl_ctx_restrict(SSL_CTX *context)
{
	SSL_CTX_set_options(context, SSL_OP_NO_TICKET |
					     SSL_OP_NO_RENEGOTIATION |
					     SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	return SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
	       SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
	       SSL_CTX_set_num_tickets(context, 0) == 1;
}

/* HKDF with SHA-256 (RFC 5869). 1 on success. */
static inline int genie_hkdf_sha256(const uint8_t *secret, size_t secret_bytes,
				    const uint8_t *salt, size_t salt_bytes,
				    const uint8_t *info, size_t info_bytes,
				    uint8_t *out, size_t out_bytes)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *context = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	OSSL_PARAM parameters[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
						 (char *)"SHA256", 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY,
						  (void *)secret, secret_bytes),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT,
						  (void *)salt, salt_bytes),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO,
						  (void *)info, info_bytes),
		OSSL_PARAM_construct_end(),
	};
	int result = context &&
		     EVP_KDF_derive(context, out, out_bytes, parameters) == 1;

	EVP_KDF_CTX_free(context);
	EVP_KDF_free(kdf);
	return result;
}

/* The P-256 key of a private scalar and its public point; NULL on failure. */
static inline EVP_PKEY *genie_p256_key(const BIGNUM *scalar,
				       const uint8_t *point, size_t point_bytes)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	OSSL_PARAM *parameters = NULL;
	EVP_PKEY *key = NULL;

	if (context && builder &&
	    OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME,
					    SN_X9_62_prime256v1, 0) &&
	    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_PRIV_KEY, scalar) &&
	    OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY,
					     point, point_bytes))
		parameters = OSSL_PARAM_BLD_to_param(builder);
	if (parameters && EVP_PKEY_fromdata_init(context) == 1 &&
	    EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEYPAIR, parameters) != 1)
		key = NULL;
	OSSL_PARAM_free(parameters);
	OSSL_PARAM_BLD_free(builder);
	EVP_PKEY_CTX_free(context);
	return key;
}

/* r = a mod m. 1 on success. */
static inline int genie_bn_mod(BIGNUM *r, const BIGNUM *a, const BIGNUM *m,
			       BN_CTX *context)
{
	return BN_mod(r, a, m, context);
}

/* The reason part of an error code. */
static inline int genie_err_reason(unsigned long code)
{
	return ERR_GET_REASON(code);
}

#endif
