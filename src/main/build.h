/* SPDX-License-Identifier: Apache-2.0 */
/* From settings to what the components take: at the start, and again for what a reload replaces. */
#ifndef MAIN_BUILD_H
#define MAIN_BUILD_H

#include "auth/authn.h"
#include "base/error.h"
#include "base/log.h"
#include "base/metrics.h"
#include "http/forwarded.h"
#include "http/server.h"
#include "jobs/health.h"
#include "jobs/notify.h"
#include "main/config.h"
#include "registry/registry.h"
#include "tls/tls.h"

/* Puts the section that an error is about in front of it; returns -1. */
int build_blame(const char *section, struct error *err);

/* *out is NULL without a certificate. */
int build_tls(const struct settings *s, struct tls_context **out, struct error *err);
/* *out is NULL when nobody has to log in. At the start a missing htpasswd file is made, with a
 * password that is logged, once, as registry does; a server that runs makes no new passwords. */
int build_authn(const struct settings *s, bool starting, struct metrics *metrics, struct log *log,
                struct authn **out, struct error *err);
/* Would build_authn make another one of b than of a? */
bool build_same_auth(const struct settings *a, const struct settings *b);
/* Validator, policy and pages; takes authn (NULL is fine), also on failure. */
int build_live(const struct config *c, struct authn *authn, struct registry_live *out,
               struct error *err);
void build_limits(const struct settings *s, struct http_limits *out);
/* http.headers as header lines, into `out`. */
void build_headers(const struct settings *s, struct buf *out);
int build_trusted(const struct settings *s, struct trusted_peers **out, struct error *err);
/* *out is NULL when no endpoint is enabled. Cursors of endpoints that are gone are removed. */
int build_notify(const struct settings *s, const char *address, struct meta *meta, struct log *log,
                 struct metrics *metrics, struct notify **out, struct error *err);
/* *out is NULL without checks. */
int build_health(const struct settings *s, struct store *store, struct log *log,
                 struct metrics *metrics, struct health **out, struct error *err);

#endif
