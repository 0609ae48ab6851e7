/* SPDX-License-Identifier: Apache-2.0 */
/* The settings in force, made from the configuration file, the environment and flags by
 * main/config.h. Read-only once loaded; everything is in one arena. A reload makes a new one. */
#ifndef MAIN_SETTINGS_H
#define MAIN_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

struct text_list {
    char **v;
    unsigned n;
};

struct text_pair {
    char *name, *value;
};

struct text_pairs { /* in the order of the file; a name may be there several times */
    struct text_pair *v;
    unsigned n;
};

/* An entry of http.listeners (ours), beside http.addr. */
struct listener_settings {
    char *addr;          /* host:port, [v6]:port, :port, unix:/path */
    bool tls;            /* default: whether http.tls has a certificate */
    bool proxy_protocol; /* every connection begins with a PROXY header, from a trusted peer */
};

enum client_auth {
    CLIENT_AUTH_NONE, /* no client CAs were given */
    CLIENT_AUTH_REQUEST,
    CLIENT_AUTH_REQUIRE_ANY,
    CLIENT_AUTH_VERIFY_IF_GIVEN,
    CLIENT_AUTH_REQUIRE_AND_VERIFY
};

struct tls_settings {
    char *certificate, *key; /* PEM files; both empty: no TLS */
    char *minimum;           /* tls1.2 or tls1.3 (2.8's tls1.0 and tls1.1 are taken, with a warning,
                                as tls1.2) */
    struct text_list ciphers; /* Go names */
    struct text_list client_cas;
    enum client_auth client_auth;
};

enum auth_kind { AUTH_NONE, AUTH_SILLY, AUTH_HTPASSWD, AUTH_TOKEN };

struct auth_settings {
    enum auth_kind kind;
    char *realm, *service, *issuer; /* empty when not given */
    char *path;                     /* htpasswd */
    char *root_cert_bundle, *jwks;  /* token: PEM file, JWKS file; at least one */
    struct text_list algorithms;    /* token: empty for all */
    bool autoredirect;
    char *autoredirect_path;
};

struct endpoint_settings { /* notifications.endpoints[] */
    char *name, *url;
    bool disabled;
    struct text_pairs headers; /* one pair per value */
    uint64_t timeout_ms;
    unsigned threshold;
    uint64_t backoff_ms;
    struct text_list ignored_media_types; /* union of both lists */
    struct text_list ignored_actions;
};

enum check_kind { CHECK_STORAGE, CHECK_FILE, CHECK_HTTP, CHECK_TCP };

struct check_settings { /* health.* */
    enum check_kind kind;
    char *target; /* path, URI or host:port; empty for the storage */
    struct text_pairs headers;
    unsigned status_code;
    uint64_t timeout_ms; /* 0: 5 s */
    uint64_t interval_ms;
    unsigned threshold; /* failures in a row before it counts; at least 1 */
};

enum relative_urls { URLS_AUTO, URLS_RELATIVE, URLS_ABSOLUTE };
enum platforms { PLATFORMS_ALL, PLATFORMS_NONE, PLATFORMS_LIST };

struct platform_settings {
    char *os, *architecture;
};

struct settings {
    struct arena *arena;
    /* http */
    char *http_addr;   /* a Unix socket as unix:/path, whether http.net said so or the address */
    char *http_host;   /* http.host, an absolute URL without a slash at its end; empty */
    char *http_prefix; /* "/" or "/path/" */
    enum relative_urls relative_urls; /* URLS_AUTO: the key is absent: relative, unless http.host is
                                         set */
    struct text_pairs http_headers;
    struct tls_settings tls;
    struct listener_settings *listeners;
    unsigned n_listeners;
    struct text_list trusted_proxies; /* http.trustedproxies: CIDR, addresses, or "unix"; default
                                         127.0.0.0/8, ::1/128, unix */
    uint64_t drain_timeout_ms;
    uint64_t loops;
    uint64_t connections_max, connections_per_ip;
    uint64_t head_timeout_ms, idle_timeout_ms, stall_timeout_ms;
    char *debug_addr;
    bool prometheus; /* http.debug.prometheus.enabled: default true */
    char *prometheus_path;
    /* storage */
    bool in_memory;       /* storage: inmemory */
    char *root_directory; /* empty: chosen by main/directory.h */
    bool delete_enabled;  /* default: false with a configuration file, as in registry; else true */
    bool read_only;
    bool purge_enabled, purge_dry_run;
    uint64_t purge_age_ms, purge_interval_ms;
    uint64_t db_workers, io_workers;
    uint64_t cache_bytes;
    bool adopt; /* storage.adopt (ours, default true): take over a registry:2 directory found in the
                   root directory */
    uint64_t catalog_max, tags_max;
    /* log */
    char *log_level;     /* error, warn, info, debug */
    char *log_formatter; /* auto, text, json, logstash */
    struct text_pairs log_fields;
    bool accesslog_disabled;
    char *accesslog_formatter; /* log.accesslog.formatter (ours): combined (default), text, json,
                                  logstash */
    /* who may come in */
    struct auth_settings auth;
    /* validation, policy */
    bool validation_disabled;
    bool validation_strict; /* validation.enabled: true or validation.disabled: false was written */
    struct text_list urls_allow, urls_deny; /* Go regular expressions */
    enum platforms platforms;
    struct platform_settings *platform_list;
    unsigned n_platforms;
    struct text_list classes; /* policy.repository.classes */
    /* notifications */
    bool include_references;
    struct endpoint_settings *endpoints;
    unsigned n_endpoints;
    uint64_t backlog_max; /* notifications.backlog (ours): events that wait; default 100000 */
    bool envelope_v3;     /* notifications.envelope (ours): 3, the default, or 2 */
    /* health */
    struct check_settings *checks; /* enabled ones */
    unsigned n_checks;
};

#endif
