/* SPDX-License-Identifier: Apache-2.0 */
/* The keys that are honoured, in the order of every listing. No include guard: it is a part of
 * config_schema.c's table.
 *
 *   O(kind, name, default, unit or choices, reload: 0 or 1, documentation, more...)
 *                                                     a scalar that is an option of its own
 *   E(as O)                                           one in a list, or another name of something
 *   S(kind, name, documentation, more...)             everything else
 *
 * Contiguous: what is in a section follows it. */
/* clang-format off */

S(STRUCT, "log",
  "What is logged. The access log goes to standard output, everything else to standard error.")
O(CHOICE, "log.level", "info", "error|warn|info|debug", 1,
  "The least important messages that are logged; access lines have a switch of their own.",
  .at = AT(log_level), .flags = F_CASELESS)
O(CHOICE, "log.formatter", "auto", "auto|text|json|logstash", 1,
  "auto: logfmt on a terminal, JSON otherwise. text, json and logstash are registry's forms.",
  .at = AT(log_formatter))
S(MAP, "log.fields", "Fields that every line gets: name and value.", .flags = F_LIVE,
  .example = "{service: registry, environment: production}")
S(STRUCT, "log.accesslog", "The access log: a line for each request.")
O(BOOL, "log.accesslog.disabled", "false", NULL, 1, "No line for each request.",
  .at = AT(accesslog_disabled))
O(CHOICE, "log.accesslog.formatter", "combined", "combined|text|json|logstash", 1,
  "combined is Apache's form, as registry writes it.", .at = AT(accesslog_formatter),
  .flags = F_OURS)
E(CHOICE, "loglevel", NULL, "error|warn|info|debug", 1,
  "Registry's old name of log.level; used when that is not given.", .flags = F_CASELESS | F_HIDDEN)

S(STRUCT, "http", "The server.")
O(STRING, "http.addr", "127.0.0.1:5000", NULL, 0,
  "Where the registry listens: host:port, [v6]:port, :port for all addresses (as in registry, "
  "0.0.0.0:port and [::]:port are the same), or unix:/path. Port 0 picks a free one.",
  .at = AT(http_addr))
E(CHOICE, "http.net", "tcp", "tcp|unix", 0,
  "unix: http.addr is the path of a Unix socket. The same as http.addr: unix:/path.",
  .flags = F_HIDDEN)
O(STRING, "http.host", "", NULL, 0,
  "The registry's address as clients see it, https://registry.example.com: URLs that it "
  "generates begin so, whatever a request says.", .at = AT(http_host))
O(STRING, "http.prefix", "/", NULL, 0,
  "The path under which everything is served, /path/ with both slashes.", .at = AT(http_prefix))
O(BOOL, "http.relativeurls", "", NULL, 0,
  "Whether Location headers are without scheme and host. When it is not given they are, unless "
  "http.host is set; false makes them absolute, which is registry's default.")
O(STRING, "http.secret", "", NULL, 0,
  "Registry signs the state of an upload with it. Accepted, and not needed: berth keeps that "
  "state itself.", .status = S_QUIET, .flags = F_SECRET)
O(DURATION, "http.draintimeout", "0", NULL, 1,
  "How long SIGTERM waits for running requests. 0 waits until the last one is finished; a "
  "second signal ends at once.", .at = AT(drain_timeout_ms))
O(COUNT, "http.loops", "0", "threads", 0, "Event loops: at most 256. 0 for one per processor.",
  .at = AT(loops), .max = 256, .flags = F_OURS)
S(HEADERS, "http.headers",
  "Headers that answers get, but for those to paths that are none, as in registry: name and list "
  "of values. A variable replaces a header of the file whatever its case.",
  .at = AT(http_headers), .flags = F_LIVE,
  .example = "{X-Content-Type-Options: [nosniff]}")
S(STRUCT, "http.tls", "HTTPS on http.addr, by a certificate and its key.")
O(STRING, "http.tls.certificate", "", NULL, 1,
  "PEM file with the server's certificate and those between it and the authority, the server's "
  "first. Read again on a reload, and when it changes.", .at = AT(tls.certificate),
  .example = "/etc/berth/server.pem")
O(STRING, "http.tls.key", "", NULL, 1, "PEM file with the key of the certificate, not encrypted.",
  .at = AT(tls.key), .example = "/etc/berth/server.key")
S(TEXTS, "http.tls.clientcas",
  "PEM files with the authorities whose client certificates are accepted.",
  .at = AT(tls.client_cas), .flags = F_LIVE, .example = "[/etc/berth/clients.pem]")
O(CHOICE, "http.tls.clientauth", "require-and-verify-client-cert",
  "request-client-cert|require-any-client-cert|verify-client-cert-if-given|"
  "require-and-verify-client-cert",
  1, "What is asked of clients when there are clientcas.")
O(CHOICE, "http.tls.minimumtls", "tls1.2", "tls1.0|tls1.1|tls1.2|tls1.3", 1,
  "The oldest version of TLS. tls1.0 and tls1.1 are taken as tls1.2.", .at = AT(tls.minimum))
S(TEXTS, "http.tls.ciphersuites",
  "Cipher suites of TLS 1.2 by their Go names; those of TLS 1.3 are always on. None: Mozilla's "
  "intermediate list.", .at = AT(tls.ciphers), .flags = F_LIVE,
  .example = "[TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]")
S(STRUCT, "http.debug", "Metrics and probes on an address of their own.")
O(STRING, "http.debug.addr", "127.0.0.1:5001", NULL, 0,
  "Where /metrics, /debug/health, /livez, /readyz and /startupz are served; keep it off public "
  "networks. Empty for none.", .at = AT(debug_addr))
S(STRUCT, "http.debug.prometheus", "Metrics in Prometheus' form.")
O(BOOL, "http.debug.prometheus.enabled", "true", NULL, 0,
  "Serve them (registry does so when asked).", .at = AT(prometheus))
O(STRING, "http.debug.prometheus.path", "/metrics", NULL, 0, "Where on http.debug.addr.",
  .at = AT(prometheus_path))
S(LIST, "http.listeners", "Further addresses, beside http.addr.", .flags = F_OURS,
  .example = "[{addr: '0.0.0.0:5443', tls: true}, {addr: 'unix:/run/berth/http', tls: false}]")
S(STRUCT, "http.listeners[]", "One of them.", .flags = F_OURS)
E(STRING, "http.listeners[].addr", NULL, NULL, 0, "As http.addr. Required.",
  .at = IN(listener_settings, addr), .flags = F_OURS)
E(BOOL, "http.listeners[].tls", NULL, NULL, 0,
  "Whether it speaks TLS. When not given: if http.tls has a certificate.", .flags = F_OURS)
E(BOOL, "http.listeners[].proxyprotocol", "false", NULL, 0,
  "Every connection begins with a PROXY header (version 1 or 2), from a peer in "
  "http.trustedproxies.", .at = IN(listener_settings, proxy_protocol), .flags = F_OURS)
S(TEXTS, "http.trustedproxies",
  "Peers whose X-Forwarded-* and Forwarded headers, and whose PROXY header, are believed: "
  "addresses, networks (10.0.0.0/8), unix for Unix sockets, * for everybody. [] for nobody. "
  "Default: [127.0.0.0/8, ::1/128, unix].", .at = AT(trusted_proxies), .flags = F_OURS,
  .example = "[127.0.0.0/8, '::1/128', unix]")
S(STRUCT, "http.limits", "How much at a time.", .flags = F_OURS)
O(COUNT, "http.limits.connections", "0", "connections", 1,
  "Connections at a time. 0 takes what the limit of open files allows.", .at = AT(connections_max),
  .flags = F_OURS)
O(COUNT, "http.limits.connectionsperip", "0", "connections", 1,
  "Connections of one address at a time. 0 for no limit.", .at = AT(connections_per_ip),
  .flags = F_OURS)
S(STRUCT, "http.timeouts", "How long without progress.", .flags = F_OURS)
O(DURATION, "http.timeouts.head", "10s", NULL, 1,
  "The whole head of a request, from its first byte. At least 100ms.", .at = AT(head_timeout_ms),
  .min = 100, .flags = F_OURS)
O(DURATION, "http.timeouts.idle", "2m", NULL, 1, "A connection without a request. At least 100ms.",
  .at = AT(idle_timeout_ms), .min = 100, .flags = F_OURS)
O(DURATION, "http.timeouts.stall", "1m", NULL, 1,
  "A body that makes no progress: nothing that was sent is taken, or less than 64 bytes a "
  "second are received over this time. There is no limit on how long a transfer may take. At "
  "least 100ms.", .at = AT(stall_timeout_ms), .min = 100, .flags = F_OURS)

S(PARAMS, "storage", "Where everything is kept: one driver, and what goes for all of them.",
  .flags = F_BARE | F_CLOSED)
S(PARAMS, "storage.filesystem", "Files in a directory. The default.")
O(STRING, "storage.filesystem.rootdirectory", "", NULL, 0,
  "The directory. When the driver is named without it: /var/lib/registry, as in registry. When "
  "no driver is named: /var/lib/berth when it may be written, else berth in the XDG data "
  "directory.", .at = AT(root_directory), .example = "/var/lib/berth")
S(PARAMS, "storage.inmemory", "Everything is lost when the process ends: for tests.")
S(PARAMS, "storage.delete", "Deletes through the API.")
O(BOOL, "storage.delete.enabled", "false", NULL, 1,
  "Whether manifests, tags and blobs can be deleted through the API. Where there is no "
  "configuration file at all, and nothing else says it, the default is true.",
  .at = AT(delete_enabled), .flags = F_TRUTH)
S(PARAMS, "storage.redirect", "Registry can send clients to the storage for a blob.")
O(BOOL, "storage.redirect.disable", "false", NULL, 0,
  "Accepted, and without effect: blobs of a filesystem are always sent by the registry.",
  .status = S_QUIET)
S(PARAMS, "storage.maintenance", "Housekeeping.")
S(PARAMS, "storage.maintenance.readonly", "No changes.")
O(BOOL, "storage.maintenance.readonly.enabled", "false", NULL, 1, "Refuse pushes and deletes.",
  .at = AT(read_only))
S(PARAMS, "storage.maintenance.uploadpurging", "Uploads that nobody went on with.")
O(BOOL, "storage.maintenance.uploadpurging.enabled", "true", NULL, 1, "Remove them.",
  .at = AT(purge_enabled))
O(DURATION, "storage.maintenance.uploadpurging.age", "168h", NULL, 1,
  "How long an upload may rest before it is removed.", .at = AT(purge_age_ms), .flags = F_UNIT)
O(DURATION, "storage.maintenance.uploadpurging.interval", "1h", NULL, 1,
  "How often to look for such uploads. Registry's example has 24h.", .at = AT(purge_interval_ms),
  .flags = F_UNIT)
O(BOOL, "storage.maintenance.uploadpurging.dryrun", "false", NULL, 1,
  "Only say in the log what would be removed.", .at = AT(purge_dry_run))
S(PARAMS, "storage.cache", "What is kept in memory.")
O(SIZE, "storage.cache.manifests", "16MiB", "bytes", 0,
  "Memory of each loop for manifests that were read lately. 0 for no cache.",
  .at = AT(cache_bytes), .max = INT64_MAX, .flags = F_OURS)
S(PARAMS, "storage.workers", "Threads that wait for the disk.", .flags = F_OURS)
O(COUNT, "storage.workers.db", "16", "threads", 0, "Threads for metadata: at most 256. 0 for 16.",
  .at = AT(db_workers), .max = 256, .flags = F_OURS)
O(COUNT, "storage.workers.io", "0", "threads", 0,
  "Threads for writing and hashing: at most 256. 0 for two per processor.", .at = AT(io_workers),
  .max = 256, .flags = F_OURS)
O(BOOL, "storage.adopt", "true", NULL, 0,
  "Take over a data directory of registry's that is found in the root directory.", .at = AT(adopt),
  .flags = F_OURS)

S(PARAMS, "auth", "Who may come in: one of htpasswd, token, silly, or none.",
  .flags = F_BARE | F_CLOSED | F_LIVE)
S(PARAMS, "auth.none", "Everybody may do everything. The same as no auth at all.",
  .flags = F_HIDDEN)
S(PARAMS, "auth.htpasswd", "Names and passwords in a file.")
O(STRING, "auth.htpasswd.realm", "", NULL, 1,
  "What clients show when they ask for the password. Required.", .at = AT(auth.realm),
  .example = "Registry")
O(STRING, "auth.htpasswd.path", "", NULL, 1,
  "The file, with bcrypt entries (`htpasswd -B`, `berth htpasswd`); read again when it changes. "
  "When it is missing it is made, with a random password that is shown once. Required.",
  .at = AT(auth.path), .example = "/etc/berth/htpasswd")
S(PARAMS, "auth.token", "Tokens (JWT) of another server.")
O(STRING, "auth.token.realm", "", NULL, 1, "The URL where clients fetch a token. Required.",
  .at = AT(auth.realm), .example = "https://auth.example.com/token")
O(STRING, "auth.token.service", "", NULL, 1, "This registry's name in tokens (aud). Required.",
  .at = AT(auth.service), .example = "registry.example.com")
O(STRING, "auth.token.issuer", "", NULL, 1, "The other server's name in tokens (iss). Required.",
  .at = AT(auth.issuer), .example = "auth.example.com")
O(STRING, "auth.token.rootcertbundle", "", NULL, 1,
  "PEM file with the certificates or keys that sign tokens. This or jwks is required.",
  .at = AT(auth.root_cert_bundle), .example = "/etc/berth/token.pem")
O(STRING, "auth.token.jwks", "", NULL, 1,
  "File with a JSON Web Key Set. This or rootcertbundle is required.", .at = AT(auth.jwks))
S(TEXTS, "auth.token.signingalgorithms",
  "Algorithms that are accepted: EdDSA, HS256, HS384, HS512, RS256, RS384, RS512, ES256, ES384, "
  "ES512, PS256, PS384, PS512. None: all, each with a key of its kind.", .at = AT(auth.algorithms),
  .flags = F_LIVE, .example = "[ES256, RS256]")
O(BOOL, "auth.token.autoredirect", "false", NULL, 1,
  "The realm is autoredirectpath on the host that the request names.", .at = AT(auth.autoredirect))
O(STRING, "auth.token.autoredirectpath", "/auth/token", NULL, 1, "The path for autoredirect.",
  .at = AT(auth.autoredirect_path))
S(PARAMS, "auth.silly", "For tests: any Authorization header will do.")
O(STRING, "auth.silly.realm", "", NULL, 1, "The realm in the challenge. Required.",
  .at = AT(auth.realm))
O(STRING, "auth.silly.service", "", NULL, 1, "The service in the challenge. Required.",
  .at = AT(auth.service))

S(STRUCT, "validation", "What is asked of manifests that are pushed.")
E(BOOL, "validation.enabled", NULL, NULL, 1, "Registry's old switch: true wins over disabled.",
  .flags = F_HIDDEN)
O(BOOL, "validation.disabled", "false", NULL, 1,
  "URLs and platforms are not looked at. Written out, false (like validation.enabled: true) "
  "refuses every URL of a layer that validation.manifests.urls does not allow.",
  .at = AT(validation_disabled))
S(STRUCT, "validation.manifests", "Manifests.")
S(STRUCT, "validation.manifests.urls",
  "URLs of layers that are kept elsewhere. With neither list they are not looked at, unless "
  "validation.disabled: false or validation.enabled: true is written: then they are refused.")
S(TEXTS, "validation.manifests.urls.allow",
  "Go regular expressions, unanchored: a URL has to match one of them.", .at = AT(urls_allow),
  .flags = F_LIVE, .example = "['^https?://([^/]+\\.)*example\\.com/']")
S(TEXTS, "validation.manifests.urls.deny", "Go regular expressions: a URL may match none of them.",
  .at = AT(urls_deny), .flags = F_LIVE, .example = "['^https?://www\\.example\\.com/']")
S(STRUCT, "validation.manifests.indexes", "Indexes (images for several platforms).")
O(CHOICE, "validation.manifests.indexes.platforms", "all", "all|none|list", 1,
  "Which images of an index have to be there when it is pushed: all, none, or those of "
  "platformlist.", .flags = F_CASELESS)
S(LIST, "validation.manifests.indexes.platformlist", "The platforms for `platforms: list`.",
  .flags = F_LIVE, .example = "[{os: linux, architecture: amd64}]")
S(STRUCT, "validation.manifests.indexes.platformlist[]", "One of them.")
E(STRING, "validation.manifests.indexes.platformlist[].os", "", NULL, 1, "As in the image: linux.",
  .at = IN(platform_settings, os))
E(STRING, "validation.manifests.indexes.platformlist[].architecture", "", NULL, 1,
  "As in the image: amd64.", .at = IN(platform_settings, architecture))
S(STRUCT, "policy", "What repositories may hold.")
S(STRUCT, "policy.repository", "For every repository.")
S(TEXTS, "policy.repository.classes",
  "image and plugin: when given, manifests of another class are refused.", .at = AT(classes),
  .flags = F_LIVE, .example = "[image]")
S(STRUCT, "catalog", "The list of repositories.")
O(COUNT, "catalog.maxentries", "1000", "repositories", 1,
  "Repositories in one page of the catalog, at most 20000 (more are taken as 20000, with a "
  "warning). 0 and less for 1000.", .at = AT(catalog_max), .min = INT64_MIN, .max = INT64_MAX)
S(STRUCT, "tags", "Lists of tags.")
O(COUNT, "tags.maxtags", "10000", "tags", 1,
  "Tags in one page of a list, at most 20000 (more are taken as 20000, with a warning). 0 for "
  "10000; registry's default is 1000. A client that names no `n` gets 10000 at least, as registry "
  "gives it all.", .at = AT(tags_max), .max = INT64_MAX)

S(STRUCT, "notifications", "Webhooks: events are posted to other servers.")
S(STRUCT, "notifications.events", "What is in an event.", .field = "EVENTCONFIG")
O(BOOL, "notifications.events.includereferences", "false", NULL, 0,
  "The event of a manifest lists what the manifest refers to.", .at = AT(include_references))
S(LIST, "notifications.endpoints", "Who is told.",
  .example = "[{name: builds, url: 'https://ci.example.com/hook', headers: {Authorization: "
  "[Bearer s3cr3t]}}]")
S(STRUCT, "notifications.endpoints[]", "One of them.")
E(STRING, "notifications.endpoints[].name", "", NULL, 0,
  "Its name in metrics and in `berth events`; events that wait belong to it.",
  .at = IN(endpoint_settings, name))
E(BOOL, "notifications.endpoints[].disabled", "false", NULL, 0, "Not told.",
  .at = IN(endpoint_settings, disabled))
E(STRING, "notifications.endpoints[].url", "", NULL, 0, "Where events are posted. Required.",
  .at = IN(endpoint_settings, url), .flags = F_QUERY)
S(HEADERS, "notifications.endpoints[].headers",
  "Headers of each request: name and list of values.", .at = IN(endpoint_settings, headers),
  .flags = F_SECRET)
E(DURATION, "notifications.endpoints[].timeout", "1s", NULL, 0, "For one request. 0 for 1s.",
  .at = IN(endpoint_settings, timeout_ms))
E(COUNT, "notifications.endpoints[].threshold", "10", "failures", 0,
  "After so many failures in a row there is one try per backoff. 0 and less for 10.",
  .min = INT64_MIN)
E(DURATION, "notifications.endpoints[].backoff", "1s", NULL, 0,
  "The time between such tries. 0 for 1s.", .at = IN(endpoint_settings, backoff_ms))
S(TEXTS, "notifications.endpoints[].ignoredmediatypes", "Media types of which it is not told.")
S(STRUCT, "notifications.endpoints[].ignore", "Events of which it is not told.")
S(TEXTS, "notifications.endpoints[].ignore.mediatypes", "Media types of their targets.")
S(TEXTS, "notifications.endpoints[].ignore.actions", "Actions: pull, push, mount, delete.")
O(COUNT, "notifications.backlog", "100000", "events", 0,
  "Events that wait for one endpoint; the oldest are dropped beyond.", .at = AT(backlog_max),
  .min = 1, .flags = F_OURS)
O(CHOICE, "notifications.envelope", "3", "2|3", 0,
  "The form of events: of registry 2.8 or of registry 3.", .flags = F_OURS)

S(STRUCT, "health", "Checks: while one fails, every request is answered 503.")
S(STRUCT, "health.storagedriver", "The storage: a small file is written, synced and removed.")
O(BOOL, "health.storagedriver.enabled", "false", NULL, 0, "Check it.")
O(DURATION, "health.storagedriver.interval", "10s", NULL, 0, "How often. 0 for 10s.")
O(COUNT, "health.storagedriver.threshold", "1", "failures", 0,
  "Failures in a row before it counts. 0 and less for 1.", .min = INT64_MIN)
S(LIST, "health.file", "Files: while one is there, the check fails.", .field = "FILECHECKERS",
  .example = "[{file: /run/berth/maintenance, interval: 10s}]")
S(STRUCT, "health.file[]", "One of them.")
E(STRING, "health.file[].file", "", NULL, 0, "The path. Required.",
  .at = IN(check_settings, target))
E(DURATION, "health.file[].interval", "10s", NULL, 0, "How often. 0 for 10s.",
  .at = IN(check_settings, interval_ms))
E(COUNT, "health.file[].threshold", "1", "failures", 0,
  "Failures in a row before it counts. 0 and less for 1.", .min = INT64_MIN)
S(LIST, "health.http", "Other servers, asked by HEAD.", .field = "HTTPCHECKERS",
  .example = "[{uri: 'http://auth.example.com/health', interval: 10s, threshold: 3}]")
S(STRUCT, "health.http[]", "One of them.")
E(STRING, "health.http[].uri", "", NULL, 0, "The URL. Required.",
  .at = IN(check_settings, target), .flags = F_QUERY)
S(HEADERS, "health.http[].headers", "Headers of the request: name and list of values.",
  .at = IN(check_settings, headers), .flags = F_SECRET)
E(COUNT, "health.http[].statuscode", "200", "status", 0, "The answer that is healthy. 0 for 200.",
  .at = IN(check_settings, status_code), .max = 999, .flags = F_U32)
E(DURATION, "health.http[].timeout", "0", NULL, 0, "For one request. 0 for 5s.",
  .at = IN(check_settings, timeout_ms))
E(DURATION, "health.http[].interval", "10s", NULL, 0, "How often. 0 for 10s.",
  .at = IN(check_settings, interval_ms))
E(COUNT, "health.http[].threshold", "1", "failures", 0,
  "Failures in a row before it counts. 0 and less for 1.", .min = INT64_MIN)
S(LIST, "health.tcp", "Addresses that have to accept a connection.", .field = "TCPCHECKERS",
  .example = "[{addr: 'db.example.com:5432', timeout: 3s, interval: 10s, threshold: 3}]")
S(STRUCT, "health.tcp[]", "One of them.")
E(STRING, "health.tcp[].addr", "", NULL, 0, "host:port. Required.",
  .at = IN(check_settings, target))
E(DURATION, "health.tcp[].timeout", "0", NULL, 0, "For one connection. 0 for 5s.",
  .at = IN(check_settings, timeout_ms))
E(DURATION, "health.tcp[].interval", "10s", NULL, 0, "How often. 0 for 10s.",
  .at = IN(check_settings, interval_ms))
E(COUNT, "health.tcp[].threshold", "1", "failures", 0,
  "Failures in a row before it counts. 0 and less for 1.", .min = INT64_MIN)
