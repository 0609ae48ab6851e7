/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of test_config_env.c: storage, auth, and what is ignored or refused. */
/* clang-format off */
{"root directory", NULL,
 "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=/srv",
 "storage.filesystem.rootdirectory = /srv\n"
  "quiet"},
{"root directory over the file's",
 "storage: {filesystem: {rootdirectory: /data}}\n"
  "",
 "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=/srv",
 "storage.filesystem.rootdirectory = /srv\n"
  "quiet"},
{"a directory of digits stays text", NULL,
 "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=0123",
 "storage.filesystem.rootdirectory = \"0123\"\n"
  "quiet"},
{"the driver alone",
 "storage: {filesystem: {rootdirectory: /data}}\n"
  "",
 "REGISTRY_STORAGE=filesystem",
 "storage.filesystem.rootdirectory = /var/lib/registry\n"
  "warn taken as /var/lib/registry"},
{"the driver, then its directory",
 "storage: {filesystem: {rootdirectory: /data}}\n"
  "",
 "REGISTRY_STORAGE=filesystem\n"
  "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=/b",
 "storage.filesystem.rootdirectory = /b\n"
  "quiet"},
{"the driver resets siblings too",
 "storage: {filesystem: {rootdirectory: /d}, delete: {enabled: false}}\n"
  "",
 "REGISTRY_STORAGE=inmemory",
 "storage.delete.enabled = false\n"
  "quiet"},
{"in memory", NULL,
 "REGISTRY_STORAGE=inmemory",
 "storage.inmemory\n"
  "quiet"},
{"the section as a whole",
 "storage: inmemory\n"
  "",
 "REGISTRY_STORAGE={filesystem: {rootdirectory: /w}, delete: {enabled: no}}",
 "storage.filesystem.rootdirectory = /w\n"
  "storage.delete.enabled = false\n"
  "quiet"},
{"a bare driver in the file, refined",
 "storage: inmemory\n"
  "",
 "REGISTRY_STORAGE_DELETE_ENABLED=false",
 "storage.delete.enabled = false\n"
  "storage.inmemory\n"
  "quiet"},
{"a second driver over the file's",
 "storage: {filesystem: {rootdirectory: /data}}\n"
  "",
 "REGISTRY_STORAGE_INMEMORY={}",
 "error set REGISTRY_STORAGE=inmemory too, which drops what the file says"},
{"s3 is refused", NULL,
 "REGISTRY_STORAGE=s3",
 "error REGISTRY_STORAGE: storage.s3: this version keeps its data in files"},
{"s3 over the file's driver",
 "storage: {filesystem: {rootdirectory: /data}}\n"
  "",
 "REGISTRY_STORAGE_S3_BUCKET=b",
 "error set REGISTRY_STORAGE=s3 too\n"
  "error storage.s3: this version keeps"},
{"s3aws is refused", NULL,
 "REGISTRY_STORAGE=s3aws",
 "error storage.s3aws: this version keeps its data in files"},
{"gcs is refused", NULL,
 "REGISTRY_STORAGE=gcs",
 "error storage.gcs: this version keeps its data in files"},
{"azure is refused", NULL,
 "REGISTRY_STORAGE=azure",
 "error storage.azure: this version keeps its data in files"},
{"oss is refused", NULL,
 "REGISTRY_STORAGE=oss",
 "error storage.oss: registry 3 has dropped this driver"},
{"swift is refused", NULL,
 "REGISTRY_STORAGE=swift",
 "error storage.swift: registry 3 has dropped this driver"},
{"an unknown driver", NULL,
 "REGISTRY_STORAGE=filesytem",
 "error berth knows no storage driver \"filesytem\"; did you mean \"filesystem\"?"},
{"an unknown driver by a parameter", NULL,
 "REGISTRY_STORAGE_DISK_PATH=/x",
 "error berth knows no storage driver \"disk\""},
{"purging, which registry does not override",
 "storage: {filesystem: {rootdirectory: /d}, maintenance: {uploadpurging: {enabled"
  ": true, age: 168h, interval: 24h, dryrun: false}}}\n"
  "",
 "REGISTRY_STORAGE_MAINTENANCE_UPLOADPURGING_ENABLED=false",
 "storage.maintenance.uploadpurging.enabled = false\n"
  "quiet"},
{"one key of purging", NULL,
 "REGISTRY_STORAGE_MAINTENANCE_UPLOADPURGING_AGE=24h",
 "storage.maintenance.uploadpurging.age = 24h\n"
  "storage.maintenance.uploadpurging.interval = 1h\n"
  "warn taken by default: interval, dryrun"},
{"purging as a whole", NULL,
 "REGISTRY_STORAGE_MAINTENANCE_UPLOADPURGING={enabled: true, age: 1h, interval: 10"
  "m, dryrun: true}",
 "storage.maintenance.uploadpurging.age = 1h\n"
  "storage.maintenance.uploadpurging.dryrun = true\n"
  "quiet"},
{"read-only, which panics in registry", NULL,
 "REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED=true",
 "storage.maintenance.readonly.enabled = true\n"
  "quiet"},
{"read-only as registry takes it", NULL,
 "REGISTRY_STORAGE_MAINTENANCE_READONLY={enabled: true}",
 "storage.maintenance.readonly.enabled = true\n"
  "quiet"},
{"redirect", NULL, "REGISTRY_STORAGE_REDIRECT_DISABLE=true", "quiet"},
{"redirect that is no bool", NULL,
 "REGISTRY_STORAGE_REDIRECT_DISABLE=maybe",
 "error storage.redirect.disable"},
{"cache", NULL,
 "REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR=redis",
 "warn storage.cache.blobdescriptor: ignored: berth has them in its database"},
{"cache by its old name", NULL,
 "REGISTRY_STORAGE_CACHE_LAYERINFO=inmemory",
 "warn storage.cache.layerinfo: ignored"},
{"tag look-ups", NULL,
 "REGISTRY_STORAGE_TAG_CONCURRENCYLIMIT=5",
 "warn storage.tag: ignored: berth looks tags up in its database"},
{"threads of the driver",
 "storage: {filesystem: {rootdirectory: /data}}\n"
  "",
 "REGISTRY_STORAGE_FILESYSTEM_MAXTHREADS=200",
 "warn storage.filesystem.maxthreads: ignored: the number of threads"},
{"auth makes its section", NULL,
 "REGISTRY_AUTH_HTPASSWD_REALM=r\n"
  "REGISTRY_AUTH_HTPASSWD_PATH=/h",
 "auth.kind htpasswd\n"
  "auth.htpasswd.realm = r\n"
  "auth.htpasswd.path = /h\n"
  "quiet"},
{"the how-to's three variables", NULL,
 "REGISTRY_AUTH=htpasswd\n"
  "REGISTRY_AUTH_HTPASSWD_REALM=Registry Realm\n"
  "REGISTRY_AUTH_HTPASSWD_PATH=/auth/htpasswd",
 "auth.kind htpasswd\n"
  "auth.htpasswd.realm = \"Registry Realm\"\n"
  "quiet"},
{"none",
 "auth: {silly: {realm: a, service: b}}\n"
  "",
 "REGISTRY_AUTH=none",
 "auth.kind none\n"
  "quiet"},
{"empty",
 "auth: {silly: {realm: a, service: b}}\n"
  "",
 "REGISTRY_AUTH=",
 "auth.kind none\n"
  "warn REGISTRY_AUTH: : this variable is empty: it drops what is given of \"auth\" elsewhere"},
{"a kind without its realm", NULL,
 "REGISTRY_AUTH=htpasswd",
 "error auth.htpasswd.realm: missing: auth.htpasswd needs it\n"
  "error auth.htpasswd.path: missing"},
{"two kinds",
 "auth: {silly: {realm: a, service: b}}\n"
  "",
 "REGISTRY_AUTH_HTPASSWD_REALM=r",
 "error two kinds of login, silly ("},
{"two kinds: what to do",
 "auth: {silly: {realm: a, service: b}}\n"
  "",
 "REGISTRY_AUTH_HTPASSWD_REALM=r",
 "error set REGISTRY_AUTH=htpasswd too"},
{"none and another",
 "auth: none\n"
  "",
 "REGISTRY_AUTH_SILLY_REALM=r\n"
  "REGISTRY_AUTH_SILLY_SERVICE=s",
 "auth.kind silly\n"
  "warn auth.none: ignored: silly is given too"},
{"token", NULL,
 "REGISTRY_AUTH_TOKEN_REALM=https://a/t\n"
  "REGISTRY_AUTH_TOKEN_SERVICE=s\n"
  "REGISTRY_AUTH_TOKEN_ISSUER=i\n"
  "REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE=/c",
 "auth.kind token\n"
  "auth.token.issuer = i\n"
  "quiet"},
{"token with a list of algorithms by index", NULL,
 "REGISTRY_AUTH_TOKEN_REALM=r\n"
  "REGISTRY_AUTH_TOKEN_SERVICE=s\n"
  "REGISTRY_AUTH_TOKEN_ISSUER=i\n"
  "REGISTRY_AUTH_TOKEN_JWKS=/j\n"
  "REGISTRY_AUTH_TOKEN_SIGNINGALGORITHMS_0=ES256",
 "auth.token.signingalgorithms = [ES256]\n"
  "quiet"},
{"token with an unknown algorithm", NULL,
 "REGISTRY_AUTH_TOKEN_SIGNINGALGORITHMS=[none]",
 "error auth.token.signingalgorithms: \"none\" is none of"},
{"an unknown kind", NULL, "REGISTRY_AUTH=ldap", "error berth knows no kind of login \"ldap\""},
{"proxy", NULL,
 "REGISTRY_PROXY_REMOTEURL=https://a",
 "error proxy: this version is no pull-through cache"},
{"proxy without its URL", NULL,
 "REGISTRY_PROXY_TTL=24h",
 "warn proxy: ignored: without proxy.remoteurl it does nothing"},
{"redis of 2.8", NULL, "REGISTRY_REDIS_ADDR=r:6379", "warn redis: ignored"},
{"redis of 3", NULL, "REGISTRY_REDIS_ADDRS=[r:6379]", "warn redis: ignored"},
{"redis of 3 by index", NULL, "REGISTRY_REDIS_ADDRS_0=r:6379", "warn redis: ignored"},
{"redis of 3 by Go's field", NULL, "REGISTRY_REDIS_OPTIONS_ADDRS=[r:6379]", "warn redis: ignored"},
{"redis pool of 2.8", NULL, "REGISTRY_REDIS_POOL_MAXIDLE=5", "warn redis: ignored"},
{"redis TLS of 3.0", NULL, "REGISTRY_REDIS_TLS_CLIENTCAS=[/a]", "warn redis: ignored"},
{"redis TLS of 3.1", NULL, "REGISTRY_REDIS_TLS_ROOTCAS=[/a]", "warn redis: ignored"},
{"middleware", NULL,
 "REGISTRY_MIDDLEWARE_STORAGE=[{name: cloudfront}]",
 "warn middleware: ignored"},
{"mail by Go's field", NULL,
 "REGISTRY_LOG_HOOKS_0_MAILOPTIONS_FROM=a@b",
 "warn log.hooks: ignored: berth sends no mail"},
{"mail by the key", NULL,
 "REGISTRY_LOG_HOOKS_0_OPTIONS_FROM=a@b",
 "warn log.hooks: ignored: berth sends no mail"},
{"schema 1 by Go's field", NULL,
 "REGISTRY_COMPATIBILITY_SCHEMA1_TRUSTKEY=/k",
 "warn compatibility: ignored"},
{"schema 1 switched off", NULL, "REGISTRY_COMPATIBILITY_SCHEMA1_ENABLED=false", "quiet"},
{"reporting", NULL,
 "REGISTRY_REPORTING_BUGSNAG_APIKEY=k",
 "warn reporting: ignored: berth reports to nobody"},
{"http2 disabled", NULL, "REGISTRY_HTTP_HTTP2_DISABLED=true", "quiet"},
{"http2 wanted", NULL,
 "REGISTRY_HTTP_HTTP2_DISABLED=false",
 "warn http.http2.disabled: ignored: berth speaks HTTP/1.1"},
{"h2c", NULL, "REGISTRY_HTTP_H2C_ENABLED=true", "warn http.h2c: ignored"},
{"letsencrypt", NULL,
 "REGISTRY_HTTP_TLS_LETSENCRYPT_CACHEFILE=/c",
 "error http.tls.letsencrypt: berth fetches no certificates itself"},
{"letsencrypt without its cache", NULL,
 "REGISTRY_HTTP_TLS_LETSENCRYPT_EMAIL=a@b",
 "warn http.tls.letsencrypt: ignored: without"},
{"caller", NULL, "REGISTRY_LOG_REPORTCALLER=true", "warn log.reportcaller: ignored"},
{"the secret of uploads", NULL, "REGISTRY_HTTP_SECRET=abc", "quiet"},
{"traces", NULL,
 "OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318",
 "warn OTEL_EXPORTER_OTLP_ENDPOINT: : berth sends no traces"},
{"no traces", NULL, "OTEL_TRACES_EXPORTER=none", "quiet"},
{"an anchor", NULL,
 "REGISTRY_HTTP_PREFIX=&a /b/",
 "error REGISTRY_HTTP_PREFIX: http.prefix: the value is YAML; anchors and aliases"},
{"a tag", NULL,
 "REGISTRY_HTTP_PREFIX=!!str /b/",
 "error the value is YAML; tags (!) are not accepted"},
{"a comment is nothing", NULL,
 "REGISTRY_HTTP_DEBUG_ADDR=#x",
 "http.debug.addr = \"\"\n"
  "quiet"},
{"two documents", NULL, "REGISTRY_LOG_FIELDS={a: b} --- {c: d}", "error the value is YAML"},
{"a secret that is no YAML is not shown", NULL,
 "REGISTRY_HTTP_SECRET={a: s3cr3t, a: x}",
 "error the value is YAML; this one cannot be read\n"
  "hidden s3cr3t"},
{"quotes keep a string", NULL,
 "REGISTRY_HTTP_DEBUG_ADDR='127.0.0.1:1'",
 "http.debug.addr = 127.0.0.1:1\n"
  "quiet"},
{"null", NULL,
 "REGISTRY_HTTP_DEBUG_ADDR=~",
 "http.debug.addr = \"\"\n"
  "quiet"},
{"a Unix socket", NULL,
 "REGISTRY_HTTP_NET=unix\n"
  "REGISTRY_HTTP_ADDR=/run/r",
 "http.addr = unix:/run/r\n"
  "quiet"},
{"a Unix socket without a path", NULL,
 "REGISTRY_HTTP_NET=unix",
 "error http.net: http.addr has to be the path"},
{"a port out of range", NULL,
 "REGISTRY_HTTP_ADDR=127.0.0.1:99999",
 "error http.addr: \"127.0.0.1:99999\" is no address to listen on: the port is a num"
  "ber from 0 to 65535"},
{"a host that is no URL", NULL,
 "REGISTRY_HTTP_HOST=registry.example.com",
 "http.host = \"\"\n"
  "warn http.host: taken as not given, as registry does"},
{"a host with another scheme", NULL,
 "REGISTRY_HTTP_HOST=ftp://registry.example.com",
 "error http.host: \"ftp://registry.example.com\" is no absolute URL such as"},
{"a host with a slash", NULL,
 "REGISTRY_HTTP_HOST=https://r.example.com/",
 "http.host = https://r.example.com\n"
  "quiet"},
{"a prefix without slashes", NULL,
 "REGISTRY_HTTP_PREFIX=p",
 "http.prefix = /p/\n"
  "warn http.prefix: a prefix has slashes at both ends"},
{"old TLS", NULL,
 "REGISTRY_HTTP_TLS_MINIMUMTLS=tls1.0",
 "http.tls.minimumtls = tls1.2\n"
  "warn taken as tls1.2"},
{"no such TLS", NULL,
 "REGISTRY_HTTP_TLS_MINIMUMTLS=ssl3",
 "error http.tls.minimumtls: \"ssl3\" is not one of"},
{"a certificate without its key", NULL,
 "REGISTRY_HTTP_TLS_CERTIFICATE=/c",
 "error http.tls.certificate: http.tls.key is missing"},
{"client authentication without authorities", NULL,
 "REGISTRY_HTTP_TLS_CLIENTAUTH=request-client-cert",
 "warn http.tls.clientauth: ignored: without http.tls.clientcas"},
