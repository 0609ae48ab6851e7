/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of test_config_env.c: names, values, structs, maps and lists. */
/* clang-format off */
{"a field", NULL,
 "REGISTRY_HTTP_ADDR=0.0.0.0:80",
 "http.addr = 0.0.0.0:80\n"
  "quiet"},
{"over the file",
 "http: {addr: ':80'}\n"
  "",
 "REGISTRY_HTTP_ADDR=:81",
 "http.addr = \":81\"\n"
  "quiet"},
{"a colon first is plain YAML", NULL, "REGISTRY_HTTP_ADDR=:5000", "http.addr = \":5000\""},
{"an IPv6 address needs quotes", NULL,
 "REGISTRY_HTTP_ADDR=[::1]:5000",
 "error REGISTRY_HTTP_ADDR: http.addr: the value is YAML"},
{"an IPv6 address in quotes", NULL,
 "REGISTRY_HTTP_ADDR='[::1]:5000'",
 "http.addr = \"[::1]:5000\"\n"
  "quiet"},
{"empty is Go's zero value: the default address",
 "http: {addr: ':80'}\n"
  "",
 "REGISTRY_HTTP_ADDR=",
 "http.addr = 127.0.0.1:5000\n"
  "warn this variable is empty: it drops what is given of \"addr\" elsewhere"},
{"empty debug address: none", NULL,
 "REGISTRY_HTTP_DEBUG_ADDR=",
 "http.debug.addr = \"\"\n"
  "quiet"},
{"lower case names are not ours", NULL,
 "registry_http_addr=:1",
 "http.addr = 127.0.0.1:5000\n"
  "quiet"},
{"lower case part at a struct", NULL,
 "REGISTRY_HTTP_addr=:1",
 "http.addr = 127.0.0.1:5000\n"
  "warn REGISTRY_HTTP_addr: : berth does not know this variable"},
{"mixed case part at a struct", NULL, "REGISTRY_Http_ADDR=:1", "warn REGISTRY_Http_ADDR"},
{"the first of two of a name counts", NULL,
 "REGISTRY_HTTP_PREFIX=/a/\n"
  "REGISTRY_HTTP_PREFIX=/b/",
 "http.prefix = /a/"},
{"bool", NULL,
 "REGISTRY_STORAGE_DELETE_ENABLED=false",
 "storage.delete.enabled = false\n"
  "quiet"},
{"bool in YAML 1.1", NULL,
 "REGISTRY_STORAGE_DELETE_ENABLED=no",
 "storage.delete.enabled = false\n"
  "quiet"},
{"bool: off", NULL, "REGISTRY_STORAGE_DELETE_ENABLED=Off", "storage.delete.enabled = false"},
{"bool: 0 is no bool, which for deletes is off in registry", NULL,
 "REGISTRY_STORAGE_DELETE_ENABLED=0",
 "storage.delete.enabled = false\n"
  "warn storage.delete.enabled: \"0\" is neither true nor false; taken as false, as in registry"},
{"bool: nor is 1", NULL,
 "REGISTRY_STORAGE_DELETE_ENABLED=1",
 "storage.delete.enabled = false\n"
  "warn storage.delete.enabled: \"1\" is neither true nor false; taken as false, as in registry"},
{"a secret that nobody needs, and that YAML takes for an anchor", NULL,
 "REGISTRY_HTTP_SECRET=&aB3x",
 "warn http.secret: the value is YAML, of which nothing is left\n"
  "hidden aB3x"},
{"or for a tag", NULL,
 "REGISTRY_HTTP_SECRET=!aB3x",
 "warn http.secret: the value is YAML, of which nothing is left"},
{"or for an alias: an error in registry too", NULL,
 "REGISTRY_HTTP_SECRET=*aB3x",
 "error http.secret: the value is YAML; this one cannot be read"},
{"bool: 1 is none anywhere else", NULL,
 "REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED=1",
 "error storage.maintenance.readonly.enabled: \"1\" is neither true nor false"},
{"empty over a switch that is off: still off, as in registry",
 "storage: {delete: {enabled: false}}\n"
  "",
 "REGISTRY_STORAGE_DELETE_ENABLED=",
 "storage.delete.enabled = false\n"
  "warn storage.delete.enabled: has no value; taken as false"},
{"quoted, the switch for deletes is text: off, as in registry", NULL,
 "REGISTRY_STORAGE_DELETE_ENABLED=\"true\"",
 "storage.delete.enabled = false\n"
  "warn storage.delete.enabled: in quotes this is text; taken as false"},
{"quoted and off: nothing to say", NULL,
 "REGISTRY_STORAGE_DELETE_ENABLED='false'",
 "storage.delete.enabled = false\n"
  "quiet"},
{"quoted bool", NULL,
 "REGISTRY_HTTP_RELATIVEURLS=\"true\"",
 "http.relativeurls = true\n"
  "quiet"},
{"count", NULL,
 "REGISTRY_CATALOG_MAXENTRIES=50",
 "catalog.maxentries = 50\n"
  "quiet"},
{"count in hexadecimal", NULL, "REGISTRY_CATALOG_MAXENTRIES=0x10", "catalog.maxentries = 16"},
{"count in octal", NULL, "REGISTRY_CATALOG_MAXENTRIES=017", "catalog.maxentries = 15"},
{"count with underscores", NULL, "REGISTRY_CATALOG_MAXENTRIES=1_000", "catalog.maxentries = 1000"},
{"count below one: the default", NULL,
 "REGISTRY_CATALOG_MAXENTRIES=-5",
 "catalog.maxentries = 1000\n"
  "quiet"},
{"count above the largest page", NULL,
 "REGISTRY_CATALOG_MAXENTRIES=30000",
 "catalog.maxentries = 20000\n"
  "warn 30000 is taken as 20000"},
{"negative tags", NULL, "REGISTRY_TAGS_MAXTAGS=-1", "error tags.maxtags: -1 is out of range"},
{"tags: 0", NULL,
 "REGISTRY_TAGS_MAXTAGS=0",
 "tags.maxtags = 10000\n"
  "quiet"},
{"tags", NULL,
 "REGISTRY_TAGS_MAXTAGS=77",
 "tags.maxtags = 77\n"
  "quiet"},
{"tags: too many", NULL,
 "REGISTRY_TAGS_MAXTAGS=99999",
 "tags.maxtags = 20000\n"
  "warn taken as 20000"},
{"not a count", NULL,
 "REGISTRY_TAGS_MAXTAGS=many",
 "error tags.maxtags: \"many\" is not a whole number"},
{"count out of its range", NULL,
 "REGISTRY_HTTP_LOOPS=257",
 "error http.loops: 257 is out of range: it takes 0 to 256"},
{"size", NULL,
 "REGISTRY_STORAGE_CACHE_MANIFESTS=64MiB",
 "storage.cache.manifests = 64MiB\n"
  "quiet"},
{"duration", NULL,
 "REGISTRY_HTTP_DRAINTIMEOUT=1m30s",
 "http.draintimeout = 1m30s\n"
  "quiet"},
{"duration with a fraction", NULL,
 "REGISTRY_HTTP_DRAINTIMEOUT=1.5h",
 "http.draintimeout = 1h30m\n"
  "quiet"},
{"duration: a bare integer is nanoseconds", NULL,
 "REGISTRY_HTTP_DRAINTIMEOUT=60",
 "http.draintimeout = 1ms\n"
  "warn 60s was probably meant"},
{"duration: many nanoseconds", NULL,
 "REGISTRY_HTTP_DRAINTIMEOUT=60000000000",
 "http.draintimeout = 1m\n"
  "warn nanoseconds"},
{"duration: 0", NULL,
 "REGISTRY_HTTP_DRAINTIMEOUT=0",
 "http.draintimeout = 0\n"
  "quiet"},
{"duration too short", NULL,
 "REGISTRY_HTTP_TIMEOUTS_HEAD=10",
 "error http.timeouts.head: 10 is a duration of so many nanoseconds, as in registr"
  "y, and too short: 10s was probably meant, 100ms is the least\n"
  "http.timeouts.head = 10s"},
{"duration too short with a unit", NULL,
 "REGISTRY_HTTP_TIMEOUTS_IDLE=99ms",
 "error http.timeouts.idle: the duration 99ms is too short"},
{"no duration", NULL,
 "REGISTRY_HTTP_TIMEOUTS_STALL=soon",
 "error http.timeouts.stall: \"soon\" is not a duration such as"},
{"choice", NULL,
 "REGISTRY_LOG_LEVEL=debug",
 "log.level = debug\n"
  "quiet"},
{"choice in any case", NULL,
 "REGISTRY_LOG_LEVEL=WARN",
 "log.level = warn\n"
  "quiet"},
{"log level trace", NULL,
 "REGISTRY_LOG_LEVEL=trace",
 "error log.level: \"trace\" is not one of error|warn|info|debug"},
{"log level fatal", NULL, "REGISTRY_LOG_LEVEL=fatal", "error log.level: \"fatal\" is not one of"},
{"log level empty",
 "log: {level: debug}\n"
  "",
 "REGISTRY_LOG_LEVEL=",
 "log.level = info\n"
  "warn this variable is empty: it drops what is given of \"level\""},
{"formatter", NULL,
 "REGISTRY_LOG_FORMATTER=logstash",
 "log.formatter = logstash\n"
  "quiet"},
{"formatter is exact", NULL, "REGISTRY_LOG_FORMATTER=JSON", "error log.formatter"},
{"the old loglevel", NULL,
 "REGISTRY_LOGLEVEL=debug",
 "log.level = debug\n"
  "warn REGISTRY_LOGLEVEL: loglevel: loglevel is the old name"},
{"log.level wins over loglevel", NULL,
 "REGISTRY_LOGLEVEL=debug\n"
  "REGISTRY_LOG_LEVEL=error",
 "log.level = error\n"
  "warn loglevel: log.level is given too"},
{"access log", NULL,
 "REGISTRY_LOG_ACCESSLOG_DISABLED=true",
 "log.accesslog.disabled = true\n"
  "quiet"},
{"a map of anything", NULL,
 "REGISTRY_LOG_FIELDS_SERVICE=registry",
 "log.fields = {service: registry}\n"
  "quiet"},
{"a map of anything keeps the file's spelling",
 "log: {fields: {Service: a}}\n"
  "",
 "REGISTRY_LOG_FIELDS_SERVICE=b",
 "log.fields = {Service: b}\n"
  "quiet"},
{"a map as a whole",
 "log: {fields: {x: y}}\n"
  "",
 "REGISTRY_LOG_FIELDS={a: b, c: 1}",
 "log.fields = {a: b, c: 1}\n"
  "quiet"},
{"a field that is no text", NULL,
 "REGISTRY_LOG_FIELDS={a: [b]}",
 "warn log.fields: ignored: the field a is a list"},
{"a struct replaces all of it",
 "http: {addr: ':80', prefix: /p/}\n"
  "",
 "REGISTRY_HTTP={addr: ':1'}",
 "http.addr = \":1\"\n"
  "http.prefix = /\n"
  "quiet"},
{"parent first, then the field", NULL,
 "REGISTRY_HTTP={addr: ':1'}\n"
  "REGISTRY_HTTP_ADDR=:2",
 "http.addr = \":2\""},
{"parent first in any order", NULL,
 "REGISTRY_HTTP_ADDR=:2\n"
  "REGISTRY_HTTP={addr: ':1'}",
 "http.addr = \":2\""},
{"a scalar for a struct", NULL,
 "REGISTRY_HTTP=foo",
 "error http: a section (key: value) is expected here, and this is a single value"},
{"a list for a struct", NULL,
 "REGISTRY_LOG=[a]",
 "error log: a section (key: value) is expected here, and this is a list"},
{"empty for a struct",
 "http: {prefix: /p/}\n"
  "",
 "REGISTRY_HTTP=",
 "http.prefix = /\n"
  "warn this variable is empty: it drops what is given of \"http\""},
{"twice in the environment: the first counts, as in Go", NULL,
 "REGISTRY_HTTP_ADDR=:1\nREGISTRY_HTTP_ADDR=:2", "http.addr = \":1\"\n"
  "quiet"},
{"equal signs in a value, and a line without one", NULL,
 "REGISTRY_HTTP_SECRET\nREGISTRY_AUTH=silly\nREGISTRY_AUTH_SILLY_REALM=a=b==\n"
 "REGISTRY_AUTH_SILLY_SERVICE=\"=\"", "auth.silly.realm = a=b==\n"
 "auth.silly.service = \"=\"\n"
  "quiet"},
{"in lower case: nobody's, as in registry", NULL,
 "registry_http_addr=:1\nRegistry_HTTP_ADDR=:2", "http.addr = 127.0.0.1:5000\n"
  "quiet"},
{"empty where nothing is given", "storage: {filesystem: {rootdirectory: /d}}\n",
 "REGISTRY_HTTP_HOST=\nREGISTRY_LOG=", "quiet"},
{"version", NULL, "REGISTRY_VERSION=0.1", "quiet"},
{"another version", NULL,
 "REGISTRY_VERSION=2",
 "warn REGISTRY_VERSION: version: berth knows the version 0.1 only"},
{"into what is no section",
 "http: {tls: on}\n"
  "",
 "REGISTRY_HTTP_TLS_KEY=/k",
 "error REGISTRY_HTTP_TLS_KEY: http.tls: there is no section to put this into"},
{"unknown at the top", NULL,
 "REGISTRY_FOO=bar",
 "warn REGISTRY_FOO: : berth does not know this variable; it is ignored"},
{"a typo", NULL,
 "REGISTRY_HTTP_ADR=:1",
 "warn did you mean REGISTRY_HTTP_ADDR?\n"
  "http.addr = 127.0.0.1:5000"},
{"a typo further up", NULL, "REGISTRY_HTPT_ADDR=:1", "warn did you mean REGISTRY_HTTP_ADDR?"},
{"two parts for one", NULL,
 "REGISTRY_HTTP_TLS_CLIENT_CAS=[/a]",
 "warn did you mean REGISTRY_HTTP_TLS_CLIENTCAS?"},
{"the port, as people expect it", NULL,
 "REGISTRY_PORT=5000",
 "warn did you mean REGISTRY_HTTP_ADDR?"},
{"parts below a scalar", NULL,
 "REGISTRY_HTTP_ADDR_X=1",
 "warn REGISTRY_HTTP_ADDR_X\n"
  "http.addr = 127.0.0.1:5000"},
{"nothing after the prefix", NULL, "REGISTRY_=1", "warn REGISTRY_: : berth does not know"},
{"an empty part", NULL, "REGISTRY__HTTP=1", "warn REGISTRY__HTTP"},
{"what is unknown is not read", NULL,
 "REGISTRY_HTTP_FOO=[",
 "warn REGISTRY_HTTP_FOO\n"
  "http.addr = 127.0.0.1:5000"},
{"no =", NULL,
 "REGISTRY_HTTP_ADDR",
 "http.addr = 127.0.0.1:5000\n"
  "quiet"},
{"another prefix", NULL,
 "REGISTRYHTTP_ADDR=:1\n"
  "PATH=/bin",
 "http.addr = 127.0.0.1:5000\n"
  "quiet"},
{"the path of the file", NULL, "REGISTRY_CONFIGURATION_PATH=/etc/x.yml", "quiet"},
{"a name of many parts", NULL,
 "REGISTRY_A_A_A_A_A_A_A_A_A_A_A_A_A_A_A_A_A_A_A_A_A_A_A_A_A_A_A_A_A_A_A_A_A_A_A_A"
  "_A_A_A_A_=1",
 "warn does not know this variable"},
{"unknown key in an untyped section",
 "storage: {filesystem: {rootdirectory: /data}}\n"
  "",
 "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTRY=/x",
 "warn REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTRY: storage.filesystem.rootdirectry: "
  "berth does not know this key; it is ignored; did you mean \"rootdirectory\"?"},
{"Kubernetes: REGISTRY_PORT", NULL,
 "REGISTRY_PORT=tcp://10.0.0.1:5000",
 "quiet\n"
  "auth.kind none\n"
  "http.addr = 127.0.0.1:5000"},
{"Kubernetes: REGISTRY_SERVICE_HOST", NULL,
 "REGISTRY_SERVICE_HOST=10.0.0.1",
 "quiet\n"
  "auth.kind none\n"
  "http.addr = 127.0.0.1:5000"},
{"Kubernetes: REGISTRY_SERVICE_PORT", NULL,
 "REGISTRY_SERVICE_PORT=5000",
 "quiet\n"
  "auth.kind none\n"
  "http.addr = 127.0.0.1:5000"},
{"Kubernetes: REGISTRY_SERVICE_PORT_HTTPS", NULL,
 "REGISTRY_SERVICE_PORT_HTTPS=443",
 "quiet\n"
  "auth.kind none\n"
  "http.addr = 127.0.0.1:5000"},
{"Kubernetes: REGISTRY_PORT_5000_TCP", NULL,
 "REGISTRY_PORT_5000_TCP=tcp://10.0.0.1:5000",
 "quiet\n"
  "auth.kind none\n"
  "http.addr = 127.0.0.1:5000"},
{"Kubernetes: REGISTRY_PORT_5000_TCP_PROTO", NULL,
 "REGISTRY_PORT_5000_TCP_PROTO=tcp",
 "quiet\n"
  "auth.kind none\n"
  "http.addr = 127.0.0.1:5000"},
{"Kubernetes: REGISTRY_PORT_5000_TCP_PORT", NULL,
 "REGISTRY_PORT_5000_TCP_PORT=5000",
 "quiet\n"
  "auth.kind none\n"
  "http.addr = 127.0.0.1:5000"},
{"Kubernetes: REGISTRY_PORT_5000_TCP_ADDR", NULL,
 "REGISTRY_PORT_5000_TCP_ADDR=10.0.0.1",
 "quiet\n"
  "auth.kind none\n"
  "http.addr = 127.0.0.1:5000"},
{"Kubernetes: REGISTRY_PORT_53_UDP_ADDR", NULL,
 "REGISTRY_PORT_53_UDP_ADDR=10.0.0.1",
 "quiet\n"
  "auth.kind none\n"
  "http.addr = 127.0.0.1:5000"},
{"Kubernetes: REGISTRY_AUTH_PORT", NULL,
 "REGISTRY_AUTH_PORT=tcp://10.0.0.2:80",
 "quiet\n"
  "auth.kind none\n"
  "http.addr = 127.0.0.1:5000"},
{"Kubernetes: REGISTRY_AUTH_SERVICE_HOST", NULL,
 "REGISTRY_AUTH_SERVICE_HOST=10.0.0.2",
 "quiet\n"
  "auth.kind none\n"
  "http.addr = 127.0.0.1:5000"},
{"Kubernetes: REGISTRY_STORAGE_PORT_80_TCP_ADDR", NULL,
 "REGISTRY_STORAGE_PORT_80_TCP_ADDR=10.0.0.3",
 "quiet\n"
  "auth.kind none\n"
  "http.addr = 127.0.0.1:5000"},
{"Kubernetes: REGISTRY_HTTP_SERVICE_PORT", NULL,
 "REGISTRY_HTTP_SERVICE_PORT=80",
 "quiet\n"
  "auth.kind none\n"
  "http.addr = 127.0.0.1:5000"},
{"Kubernetes: REGISTRY_PROXY_PORT", NULL,
 "REGISTRY_PROXY_PORT=tcp://10.0.0.4:80",
 "quiet\n"
  "auth.kind none\n"
  "http.addr = 127.0.0.1:5000"},
{"a header", NULL,
 "REGISTRY_HTTP_HEADERS_X-A=[b]",
 "http.headers = {x-a: [b]}\n"
  "quiet"},
{"a header over the file's",
 "http: {headers: {X-a: [b]}}\n"
  "",
 "REGISTRY_HTTP_HEADERS_X-A=[c]",
 "http.headers = {X-a: [c]}\n"
  "quiet"},
{"a second header",
 "http: {headers: {X-A: [b]}}\n"
  "",
 "REGISTRY_HTTP_HEADERS_X-B=[c]",
 "http.headers = {X-A: [b], x-b: [c]}"},
{"headers as a whole",
 "http: {headers: {X-A: [b]}}\n"
  "",
 "REGISTRY_HTTP_HEADERS={X-B: [c, d]}",
 "http.headers = {X-B: [c, d]}\n"
  "quiet"},
{"a scalar for a list", NULL,
 "REGISTRY_HTTP_HEADERS_X-A=b",
 "error http.headers.x-a: a list ([a, b]) is expected here, and this is a single value"},
{"an element of a header",
 "http: {headers: {X-A: [b]}}\n"
  "",
 "REGISTRY_HTTP_HEADERS_X-A_0=c",
 "http.headers = {X-A: [c]}\n"
  "quiet"},
{"a header that cannot be sent", NULL,
 "REGISTRY_HTTP_HEADERS={'X A': [b]}",
 "error http.headers: \"X A\" cannot be the name of a header"},
{"a header with a control character", NULL,
 "REGISTRY_HTTP_HEADERS={X-A: [\"b\\u0001c\"]}",
 "error http.headers: the value of X-A has line ends"},
{"a list as YAML", NULL, "REGISTRY_HTTP_TLS_CLIENTCAS=[/a, /b]", "http.tls.clientcas = [/a, /b]"},
{"a scalar for a list of strings", NULL,
 "REGISTRY_HTTP_TLS_CLIENTCAS=/a",
 "error http.tls.clientcas: a list ([a, b]) is expected"},
{"an index of a plain list", NULL,
 "REGISTRY_HTTP_TLS_CLIENTCAS_0=/a",
 "http.tls.clientcas = [/a]"},
{"indices of a plain list", NULL,
 "REGISTRY_HTTP_TLS_CLIENTCAS_0=/a\n"
  "REGISTRY_HTTP_TLS_CLIENTCAS_1=/b",
 "http.tls.clientcas = [/a, /b]"},
{"an index over the file",
 "http: {tls: {clientcas: [/a, /b]}}\n"
  "",
 "REGISTRY_HTTP_TLS_CLIENTCAS_1=/z",
 "http.tls.clientcas = [/a, /z]"},
{"an index beyond the end", NULL,
 "REGISTRY_HTTP_TLS_CLIENTCAS_2=/z",
 "error http.tls.clientcas: the list has 0 elements, so the next one has the number 0"},
{"no index", NULL,
 "REGISTRY_HTTP_TLS_CLIENTCAS_X=/z",
 "error REGISTRY_HTTP_TLS_CLIENTCAS_X: http.tls.clientcas: \"X\" stands where the number"},
{"more than ten", NULL,
 "REGISTRY_POLICY_REPOSITORY_CLASSES_0=c0\n"
  "REGISTRY_POLICY_REPOSITORY_CLASSES_1=c1\n"
  "REGISTRY_POLICY_REPOSITORY_CLASSES_2=c2\n"
  "REGISTRY_POLICY_REPOSITORY_CLASSES_3=c3\n"
  "REGISTRY_POLICY_REPOSITORY_CLASSES_4=c4\n"
  "REGISTRY_POLICY_REPOSITORY_CLASSES_5=c5\n"
  "REGISTRY_POLICY_REPOSITORY_CLASSES_6=c6\n"
  "REGISTRY_POLICY_REPOSITORY_CLASSES_7=c7\n"
  "REGISTRY_POLICY_REPOSITORY_CLASSES_8=c8\n"
  "REGISTRY_POLICY_REPOSITORY_CLASSES_9=c9\n"
  "REGISTRY_POLICY_REPOSITORY_CLASSES_10=c10\n"
  "REGISTRY_POLICY_REPOSITORY_CLASSES_11=c11",
 "policy.repository.classes = [c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11]"},
{"an index with zeros", NULL,
 "REGISTRY_HTTP_TLS_CLIENTCAS_00=/a\n"
  "REGISTRY_HTTP_TLS_CLIENTCAS_01=/b",
 "http.tls.clientcas = [/a, /b]"},
{"an enormous index", NULL,
 "REGISTRY_HTTP_TLS_CLIENTCAS_99999999999999999999=/a",
 "error http.tls.clientcas"},
{"a field of an element",
 "notifications: {endpoints: [{name: a, url: 'http://a/'}]}\n"
  "",
 "REGISTRY_NOTIFICATIONS_ENDPOINTS_0_NAME=b",
 "notifications.endpoints = [{name: b, url: http://a/}]\n"
  "quiet"},
{"appending an element",
 "notifications: {endpoints: [{name: a, url: 'http://a/'}]}\n"
  "",
 "REGISTRY_NOTIFICATIONS_ENDPOINTS_1_NAME=b\n"
  "REGISTRY_NOTIFICATIONS_ENDPOINTS_1_URL=http://b/",
 "notifications.endpoints = [{name: a, url: http://a/}, {name: b, url: http://b/}]\n"
  "quiet"},
{"making the list", NULL,
 "REGISTRY_NOTIFICATIONS_ENDPOINTS_0_URL=http://b/",
 "notifications.endpoints = [{url: http://b/}]\n"
  "quiet"},
{"beyond the list",
 "notifications: {endpoints: [{name: a, url: 'http://a/'}]}\n"
  "",
 "REGISTRY_NOTIFICATIONS_ENDPOINTS_2_NAME=b",
 "error notifications.endpoints: the list has 1 elements, so the next one has the "
  "number 1"},
{"an element as a whole",
 "notifications: {endpoints: [{name: a, url: 'http://a/'}]}\n"
  "",
 "REGISTRY_NOTIFICATIONS_ENDPOINTS_0={name: z, url: 'http://z/'}",
 "notifications.endpoints = [{name: z, url: http://z/}]\n"
  "quiet"},
{"the list as a whole",
 "notifications: {endpoints: [{name: a, url: 'http://a/'}]}\n"
  "",
 "REGISTRY_NOTIFICATIONS_ENDPOINTS=[{name: z, url: 'http://z/'}]",
 "notifications.endpoints = [{name: z, url: http://z/}]\n"
  "quiet"},
{"eleven elements", NULL,
 "REGISTRY_NOTIFICATIONS_ENDPOINTS_10_URL=http://h/10\n"
  "REGISTRY_NOTIFICATIONS_ENDPOINTS_0_URL=http://h/0\n"
  "REGISTRY_NOTIFICATIONS_ENDPOINTS_9_URL=http://h/9\n"
  "REGISTRY_NOTIFICATIONS_ENDPOINTS_8_URL=http://h/8\n"
  "REGISTRY_NOTIFICATIONS_ENDPOINTS_7_URL=http://h/7\n"
  "REGISTRY_NOTIFICATIONS_ENDPOINTS_6_URL=http://h/6\n"
  "REGISTRY_NOTIFICATIONS_ENDPOINTS_5_URL=http://h/5\n"
  "REGISTRY_NOTIFICATIONS_ENDPOINTS_4_URL=http://h/4\n"
  "REGISTRY_NOTIFICATIONS_ENDPOINTS_3_URL=http://h/3\n"
  "REGISTRY_NOTIFICATIONS_ENDPOINTS_2_URL=http://h/2\n"
  "REGISTRY_NOTIFICATIONS_ENDPOINTS_1_URL=http://h/1",
 "notifications.endpoints = [{url: http://h/0}, {url: http://h/1}, {url: http://h/"
  "2}, {url: http://h/3}, {url: http://h/4}, {url: http://h/5}, {url: http://h/6}, "
  "{url: http://h/7}, {url: http://h/8}, {url: http://h/9}, {url: http://h/10}]\n"
  "quiet"},
{"a header of an endpoint",
 "notifications: {endpoints: [{name: a, url: 'http://a/'}]}\n"
  "",
 "REGISTRY_NOTIFICATIONS_ENDPOINTS_0_HEADERS_AUTHORIZATION=[Bearer x]",
 "notifications.endpoints = [{name: a, url: http://a/, headers: {authorization: [\""
  "Bearer x\"]}}]\n"
  "quiet"},
{"a list in an element",
 "notifications: {endpoints: [{name: a, url: 'http://a/'}]}\n"
  "",
 "REGISTRY_NOTIFICATIONS_ENDPOINTS_0_IGNORE_ACTIONS=[pull]",
 "notifications.endpoints = [{name: a, url: http://a/, ignore: {actions: [pull]}}]\n"
  "quiet"},
{"an index in a list in an element",
 "notifications: {endpoints: [{name: a, url: 'http://a/'}]}\n"
  "",
 "REGISTRY_NOTIFICATIONS_ENDPOINTS_0_IGNORE_ACTIONS_0=pull",
 "notifications.endpoints = [{name: a, url: http://a/, ignore: {actions: [pull]}}]\n"
  "quiet"},
{"Go's name of events", NULL,
 "REGISTRY_NOTIFICATIONS_EVENTCONFIG_INCLUDEREFERENCES=true",
 "notifications.events.includereferences = true\n"
  "quiet"},
{"the key's name of events", NULL,
 "REGISTRY_NOTIFICATIONS_EVENTS_INCLUDEREFERENCES=true",
 "notifications.events.includereferences = true\n"
  "quiet"},
{"Go's name of file checks", NULL,
 "REGISTRY_HEALTH_FILECHECKERS_0_FILE=/f",
 "health.file = [{file: /f}]\n"
  "quiet"},
{"the key's name of file checks", NULL,
 "REGISTRY_HEALTH_FILE_0_FILE=/f",
 "health.file = [{file: /f}]\n"
  "quiet"},
{"http checks", NULL,
 "REGISTRY_HEALTH_HTTPCHECKERS_0_URI=http://a/\n"
  "REGISTRY_HEALTH_HTTPCHECKERS_0_INTERVAL=5s",
 "health.http = [{interval: 5s, uri: http://a/}]\n"
  "quiet"},
{"http checks by the key", NULL,
 "REGISTRY_HEALTH_HTTP_0_URI=http://a/",
 "health.http = [{uri: http://a/}]\n"
  "quiet"},
{"tcp checks", NULL,
 "REGISTRY_HEALTH_TCPCHECKERS=[{addr: 'a:1'}]",
 "health.tcp = [{addr: a:1}]\n"
  "quiet"},
{"tcp checks by the key", NULL,
 "REGISTRY_HEALTH_TCP_0_ADDR=a:1",
 "health.tcp = [{addr: a:1}]\n"
  "quiet"},
{"health of the storage", NULL,
 "REGISTRY_HEALTH_STORAGEDRIVER_ENABLED=true\n"
  "REGISTRY_HEALTH_STORAGEDRIVER_INTERVAL=1m\n"
  "REGISTRY_HEALTH_STORAGEDRIVER_THRESHOLD=3",
 "health.storagedriver.enabled = true\n"
  "health.storagedriver.interval = 1m\n"
  "health.storagedriver.threshold = 3\n"
  "quiet"},
{"platforms in any case", NULL,
 "REGISTRY_VALIDATION_MANIFESTS_INDEXES_PLATFORMS=LIST\n"
  "REGISTRY_VALIDATION_MANIFESTS_INDEXES_PLATFORMLIST_0_OS=linux",
 "validation.manifests.indexes.platforms = LIST\n"
  "validation.manifests.indexes.platformlist = [{os: linux}]\n"
  "quiet"},
{"a list of plain lists' struct", NULL,
 "REGISTRY_VALIDATION_MANIFESTS_URLS_ALLOW_0=^https://a/",
 "validation.manifests.urls.allow = [\"^https://a/\"]\n"
  "quiet"},
{"old validation switch wins", NULL,
 "REGISTRY_VALIDATION_ENABLED=true\n"
  "REGISTRY_VALIDATION_DISABLED=true",
 "validation.disabled = false\n"
  "quiet"},
{"validation off", NULL,
 "REGISTRY_VALIDATION_DISABLED=true",
 "validation.disabled = true\n"
  "quiet"},
{"our listeners", NULL,
 "REGISTRY_HTTP_LISTENERS_0_ADDR=:81",
 "http.listeners = [{addr: \":81\"}]\n"
  "quiet"},
{"our proxies", NULL,
 "REGISTRY_HTTP_TRUSTEDPROXIES=[10.0.0.0/8]",
 "http.trustedproxies = [10.0.0.0/8]\n"
  "quiet"},
{"a proxy that is none", NULL,
 "REGISTRY_HTTP_TRUSTEDPROXIES_0=10.0.0.0/33",
 "error http.trustedproxies: \"10.0.0.0/33\" is neither an address"},
