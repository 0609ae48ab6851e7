# SPDX-License-Identifier: Apache-2.0
"""The table of test_http_raw.py: what is sent, and what must come back. Sources: RFC 9112 and 9110;
c-codebases.md 3.2 (a row for each of its rows) and reliability.md part 2.

A row whose connection must be closed is followed by POISON, and one whose connection must stay
usable by PROBE. Both are whole requests on the same connection: the poison must never be answered,
the probe must be, so that each row also proves where the server thinks that the message ends."""

from dataclasses import dataclass

HOST = b"Host: h\r\n"
POISON = b"GET /v2/ HTTP/1.1\r\nHost: poison\r\n\r\n"
PROBE = b"GET /v2/ HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n"
MANIFEST = b"/v2/raw/cases/manifests/latest"
LINE_MAX, FIELDS_MAX, HEAD_MAX = 8192, 100, 32768
SILENT = 0  # closed without an answer


@dataclass(frozen=True)
class Case:
    name: str
    data: bytes
    want: frozenset
    close: bool = True   # must be closed; otherwise must go on to serve
    code: str = None     # of the error body
    poison: bytes = POISON
    eof: bool = False    # the client shuts its sending side down; nothing follows the data
    pieces: int = 0      # send so many bytes at a time
    detail: bytes = None  # a text that the answer has
    announced: bool = True  # the answer says Connection: close; not so where the malformed part of
                            # the message comes after the answer


CASES = []


def add(group, name, data, want, **kw):
    want = frozenset([want] if isinstance(want, int) else want)
    CASES.append(Case(f"{group}:{name}", data, want, **kw))


def refuse(group, name, data, want=400, **kw):
    add(group, name, data, want, **kw)


def serve(group, name, data, want=200, **kw):
    add(group, name, data, want, close=False, **kw)


def req(line=b"GET /v2/ HTTP/1.1", fields=b"", host=HOST, body=b""):
    return line + b"\r\n" + host + fields + b"\r\n" + body


def put(fields, body=b""):
    return req(b"PUT " + MANIFEST + b" HTTP/1.1", fields, body=body)


CHUNKED = b"Transfer-Encoding: chunked\r\n"

# ---- The table of c-codebases.md 3.2 -------------------------------------------------------------

G = "anchors"
refuse(G, "length-and-coding", put(b"Content-Length: 5\r\n" + CHUNKED, b"0\r\n\r\n"))
refuse(G, "coding-and-length", put(CHUNKED + b"Content-Length: 5\r\n", b"0\r\n\r\n"))
refuse(G, "space-before-colon-coding", put(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"))
refuse(G, "bare-lf-line-ends", req().replace(b"\r\n", b"\n"))
refuse(G, "obs-fold", req(fields=b"X: a\r\n b\r\n"))
refuse(G, "control-in-value", req(fields=b"X: a\x01b\r\n"))
refuse(G, "no-host", req(host=b""))
refuse(G, "two-hosts", req(host=HOST + b"Host: i\r\n"))

# ---- Request line --------------------------------------------------------------------------------

G = "line"
for name, line in {
    "two-spaces-first": b"GET  /v2/ HTTP/1.1", "two-spaces-second": b"GET /v2/  HTTP/1.1",
    "tab-first": b"GET\t/v2/ HTTP/1.1", "tab-second": b"GET /v2/\tHTTP/1.1",
    "vt-first": b"GET\x0b/v2/ HTTP/1.1", "ff-second": b"GET /v2/\x0cHTTP/1.1",
    "space-before": b" GET /v2/ HTTP/1.1", "tab-before": b"\tGET /v2/ HTTP/1.1",
    "space-after": b"GET /v2/ HTTP/1.1 ", "tab-after": b"GET /v2/ HTTP/1.1\t",
    "word-more": b"GET /v2/ x HTTP/1.1", "word-after": b"GET /v2/ HTTP/1.1 x",
    "no-version": b"GET /v2/", "no-version-space": b"GET /v2/ ", "method-only": b"GET",
    "method-space": b"GET ", "no-method": b" /v2/ HTTP/1.1", "no-target": b"GET HTTP/1.1",
    "no-target-spaces": b"GET  HTTP/1.1", "nothing-but-spaces": b"   ", "target-only": b"/v2/",
    "cr-inside": b"GET /v2/\r HTTP/1.1", "cr-at-end": b"GET /v2/ HTTP/1.1\r",
    "nul-in-target": b"GET /v2/\0 HTTP/1.1", "nul-in-method": b"G\0ET /v2/ HTTP/1.1",
    "nul-in-version": b"GET /v2/ HTTP/1.1\0", "del-in-target": b"GET /v2/\x7f HTTP/1.1",
    "utf8-target": b"GET /v2/\xc3\xa9 HTTP/1.1", "latin1-target": b"GET /v2/\xe9 HTTP/1.1",
    "fragment": b"GET /v2/#a HTTP/1.1", "fragment-in-query": b"GET /v2/?a#b HTTP/1.1",
    "space-in-target": b"GET /v2/a b HTTP/1.1", "nbsp": b"GET\xa0/v2/\xa0HTTP/1.1",
    "colon-in-method": b"GET: /v2/ HTTP/1.1", "parens": b"G(ET) /v2/ HTTP/1.1",
    "quoted-method": b'"GET" /v2/ HTTP/1.1', "slash-method": b"GET/POST /v2/ HTTP/1.1",
    "method-utf8": b"G\xc3\x89T /v2/ HTTP/1.1", "comma-method": b"GET,POST /v2/ HTTP/1.1",
    "field-first": b"Host: h",
}.items():
    refuse(G, name, req(line))
refuse(G, "bare-lf", b"GET /v2/ HTTP/1.1\nHost: h\r\n\r\n")
refuse(G, "bare-lf-early", b"GET /v2/ HTTP/1.1\n", poison=b"")
refuse(G, "bare-cr", b"GET /v2/ HTTP/1.1\rHost: h\r\n\r\n")
refuse(G, "two-empty-lines-before", b"\r\n\r\n" + req())
refuse(G, "bare-lf-before", b"\n" + req())
refuse(G, "bare-cr-before", b"\r" + req())
refuse(G, "http-0.9", b"GET /v2/\r\n")
refuse(G, "lfcr", b"GET /v2/ HTTP/1.1\n\rHost: h\n\r\n\r")
serve(G, "one-empty-line-before", b"\r\n" + req())
# The answer to a HEAD has no body, also when the head is malformed behind its method.
refuse(G, "head-no-host", b"HEAD /v2/ HTTP/1.1\r\n\r\n")
refuse(G, "head-bare-lf", b"HEAD /v2/ HTTP/1.1\nHost: h\r\n\r\n")
refuse(G, "head-bad-field", req(b"HEAD /v2/ HTTP/1.1", b"X : y\r\n"))
refuse(G, "head-long-target", b"HEAD /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414)

# ---- Version -------------------------------------------------------------------------------------

G = "version"
for v, want in {
    b"HTTP/2.0": 505, b"HTTP/1.2": 505, b"HTTP/1.9": 505, b"HTTP/0.9": 505, b"HTTP/3.0": 505,
    b"HTTP/9.9": 505, b"HTTP/0.0": 505, b"HTTP/2": {400, 505}, b"HTTP/1": 400, b"HTTP/1.": 400,
    b"HTTP/.1": 400, b"HTTP/1.10": 400, b"HTTP/01.1": 400, b"HTTP/1.01": 400, b"HTTP/11": 400,
    b"HTTP/1,1": 400, b"HTTP 1.1": 400, b"HTTP/ 1.1": 400, b"HTTP/1. 1": 400, b"http/1.1": 400,
    b"Http/1.1": 400, b"HTTPS/1.1": 400, b"HTTP/1.1x": 400, b"HTTP/-1.1": 400, b"HTTP/a.b": 400,
    b"HTTP": 400, b"HTTP/": 400, b"1.1": 400, b"HTTP\\1.1": 400, b"HTTP/\xb9.1": 400,
    b"SPDY/3.1": 400, b"ICY/1.0": 400, b"HTTP/1.1/": 400, b"HTTP//1.1": 400,
}.items():
    refuse(G, v.decode("latin-1").encode("unicode_escape").decode(),
           req(b"GET /v2/ " + v), want)

# ---- Methods -------------------------------------------------------------------------------------

G = "method"
for m in (b"get", b"Get", b"GETS", b"GE", b"TRACE", b"TRACK", b"PROPFIND", b"FOO", b"A",
          b"!#$%&'*+-.^_`|~09", b"A" * 32, b"options", b"SEARCH", b"PRI"):
    serve(G, "other-" + m.decode(), req(m + b" /v2/ HTTP/1.1"), {405, 501})
for n in (33, 100, 8000):
    refuse(G, f"length-{n}", req(b"A" * n + b" /v2/ HTTP/1.1"), {400, 501})
refuse(G, "connect-authority", req(b"CONNECT h:80 HTTP/1.1"), {400, 501})
refuse(G, "connect-origin", req(b"CONNECT /v2/ HTTP/1.1"), {400, 501})
serve(G, "post-not-allowed", req(b"POST /v2/ HTTP/1.1", b"Content-Length: 0\r\n"), 405)
serve(G, "post-not-allowed-body", req(b"POST /v2/ HTTP/1.1", b"Content-Length: 5\r\n",
                                      body=b"hello"),
      405)
serve(G, "delete-not-allowed", req(b"DELETE /v2/ HTTP/1.1"), 405)
serve(G, "options", req(b"OPTIONS /v2/ HTTP/1.1"), {200, 204})
serve(G, "head", req(b"HEAD /v2/ HTTP/1.1"))
serve(G, "head-404", req(b"HEAD /nothing HTTP/1.1"), 404)

# ---- Target forms --------------------------------------------------------------------------------

G = "target"
for t in (b"*", b"**", b"v2/", b"h:80", b"h", b"?a=b", b"http:/h/v2/", b"http:h/v2/", b"http://",
          b"http:///v2/", b"http://h:x/v2/", b"http://h:99999/v2/", b"http://u@h/v2/",
          b"http://u:p@h/v2/", b"http://h%41/v2/", b"http://h?q", b"ftp://h/v2/",
          b"file:///etc/passwd",
          b"ws://h/v2/", b"javascript:alert(1)", b"http://[::1/v2/", b"http://::1/v2/", b"//h:80",
          b"\\v2\\", b".", b"..", b"./v2/", b"http://h\\v2/", b"%2fv2%2f", b"mailto:a@b"):
    want = 404 if t.startswith(b"//") else 400
    (serve if want == 404 else refuse)(G, t.decode(), req(b"GET " + t + b" HTTP/1.1"), want)
refuse(G, "options-star-query", req(b"OPTIONS *?a HTTP/1.1"))
refuse(G, "absolute-without-host", req(b"GET http://h/v2/ HTTP/1.1", host=b""))
refuse(G, "absolute-bad-host-field", req(b"GET http://h/v2/ HTTP/1.1", host=b"Host: a b\r\n"))
serve(G, "absolute", req(b"GET http://h/v2/ HTTP/1.1"))
serve(G, "absolute-port", req(b"GET http://h:5000/v2/ HTTP/1.1"))
serve(G, "absolute-upper", req(b"GET HTTP://H/v2/ HTTP/1.1"))
serve(G, "absolute-https", req(b"GET https://h/v2/ HTTP/1.1"))
serve(G, "absolute-ipv6", req(b"GET http://[::1]:80/v2/ HTTP/1.1"))
serve(G, "absolute-other-host", req(b"GET http://other/v2/ HTTP/1.1"))
serve(G, "absolute-no-path", req(b"GET http://h HTTP/1.1"), {200, 404})
serve(G, "options-star", req(b"OPTIONS * HTTP/1.1"), {200, 204, 404, 405})
serve(G, "query", req(b"GET /v2/?a=b&c HTTP/1.1"))
serve(G, "query-empty", req(b"GET /v2/? HTTP/1.1"))
serve(G, "query-odd", req(b"GET /v2/?%zz&%00&a[]={}|^`\"<>\\ HTTP/1.1"))

# ---- Field lines ---------------------------------------------------------------------------------

G = "field"
for name, line in {
    "space-before-colon": b"X : y", "tab-before-colon": b"X\t: y", "space-in-name": b"X Y: z",
    "no-colon": b"X", "no-colon-value": b"X y", "no-name": b": y", "colon-only": b":",
    "leading-space": b" X: y", "leading-tab": b"\tX: y", "leading-vt": b"\x0bX: y",
    "nul-in-name": b"X\0Y: z", "nul-in-value": b"X: a\0b", "nul-at-end": b"X: a\0",
    "paren-name": b"X(: z", "slash-name": b"X/Y: z", "equals-name": b"X=Y: z",
    "semicolon-name": b"X;Y: z", "comma-name": b"X,Y: z", "quote-name": b'"X": z',
    "bracket-name": b"[X]: z", "brace-name": b"{X}: z", "at-name": b"X@Y: z",
    "backslash-name": b"X\\: z", "utf8-name": b"X\xc3\xa9: z", "high-name": b"\xff: z",
    "del-in-name": b"X\x7f: z", "del-in-value": b"X: \x7f", "bel-in-value": b"X: \x07",
    "vt-in-value": b"X: a\x0bb", "ff-in-value": b"X: a\x0cb", "esc-in-value": b"X: \x1b[0m",
    "us-in-value": b"X: \x1f", "cr-in-value": b"X: a\rb", "cr-before-crlf": b"X: a\r",
    "cr-in-name": b"X\rY: a", "lf-in-value": b"X: a\nY: b", "lf-end": b"X: a\n",
    "lf-smuggled-length": b"X: a\nContent-Length: 44",
    "cr-smuggled-length": b"X: a\rContent-Length: 44",
    "fold-tab": b"X: a\r\n\tb", "fold-empty": b"X: a\r\n ", "fold-host": b"X:\r\n Host: i",
    "fold-smuggled-coding": b"X: a\r\n Transfer-Encoding: chunked", "space-only": b" ",
    "tab-only": b"\t",
}.items():
    refuse(G, name, req(fields=line + b"\r\n"))
refuse(G, "fold-first", b"GET /v2/ HTTP/1.1\r\n X: y\r\n" + HOST + b"\r\n")
refuse(G, "fold-request-line", b"GET /v2/\r\n HTTP/1.1\r\n" + HOST + b"\r\n")
refuse(G, "fold-coding", put(b"Transfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n"))
refuse(G, "fold-length", put(b"Content-Length:\r\n 5\r\n", b"hello"))
refuse(G, "bare-lf-last", b"GET /v2/ HTTP/1.1\r\nHost: h\r\n\n")
refuse(G, "bare-lf-host", b"GET /v2/ HTTP/1.1\r\nHost: h\n\r\n")
refuse(G, "bare-lf-end", b"GET /v2/ HTTP/1.1\r\nHost: h\n\n")
refuse(G, "crcrlf", b"GET /v2/ HTTP/1.1\r\nHost: h\r\r\n\r\n")
refuse(G, "cr-end", b"GET /v2/ HTTP/1.1\r\nHost: h\r\n\r\r\n")
for name, line in {
    "empty-value": b"X:", "empty-value-space": b"X: ", "no-space": b"X:y",
    "many-spaces": b"X:   y   ",
    "tabs": b"X:\ty\t", "inner-tab": b"X: a\tb", "obs-text": b"X: \x80\xff",
    "utf8": "X: é".encode(),
    "all-token-chars": b"!#$%&'*+-.^_`|~0Az: y", "colon-in-value": b"X: a:b",
    "same-twice": b"X: a\r\nX: b",
    "underscore": b"Content_Length: 44", "prefix": b"X-Content-Length: 44",
    "suffix": b"Content-Length-X: 44", "coding-like": b"Transfer_Encoding: chunked",
    "quotes": b'X: "a\\"b', "digits": b"0: 1", "two-accepts": b"Accept: a/b\r\nAccept: c/d",
    "cookie": b"Cookie: a=b; c=d", "te": b"TE: trailers",
    "upgrade": b"Upgrade: h2c\r\nConnection: Upgrade",
    "h2c": (b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
            b"HTTP2-Settings: AAMAAABkAAQAAP__"),
    "websocket": b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13",
}.items():
    serve(G, name, req(fields=line + b"\r\n"))

# ---- Host ----------------------------------------------------------------------------------------

G = "host"
for h in (b"", b" ", b"a b", b"a,b", b"a/b", b"a?b", b"a#b", b"u@h", b"a\\b", b'"h"', b"<h>",
          b"{h}",
          b"h:x", b"h:-1", b"h:65536", b"h:99999999999", b"h:80:80", b":80", b"[::1", b"::1", b"[]",
          b"[g::1]", b"[::1]x", b"[::1]:x", b"a%41", b"a%00", b"\xc3\xa9", b"h\x80", b"http://h",
          b"h;x",
          b"*", b"a|b", b"h\tX", b"a" * 256, b"h\0"):
    refuse(G, repr(h[:20])[2:-1] or "empty", req(host=b"Host: " + h + b"\r\n"))
for name, hosts in {"none": b"", "two-same": HOST * 2, "three": HOST * 3, "two-cases": HOST +
                    b"hOST: h\r\n",
                    "second-empty": HOST + b"Host:\r\n", "first-empty": b"Host:\r\n" + HOST,
                    "with-space": b"Host : h\r\n", "apart": HOST + b"X: y\r\n" + HOST}.items():
    refuse(G, f"fields-{name}", req(host=hosts))
refuse(G, "http10-two", req(b"GET /v2/ HTTP/1.0", host=HOST * 2))
for h in (b"h", b"H.Example", b"127.0.0.1", b"127.0.0.1:5000", b"[::1]", b"[::1]:80", b"h:", b"h:0",
          b"h:65535", b"a-b_c~d.e", b"localhost.", b"a" * 255):
    serve(G, "ok-" + h[:20].decode(), req(host=b"Host: " + h + b"\r\n"))
serve(G, "ok-case", req(host=b"hOsT:h\r\n"))

# ---- Content-Length ------------------------------------------------------------------------------

G = "length"
for v in (b"", b"+5", b"-5", b"-0", b"+0", b"5 5", b"5,5", b"5, 5", b"5,6", b",5", b"5,", b"0x5",
          b"5h", b"5.0",
          b"5e0", b"1_0", b"five", b"\"5\"", b"'5'", b"5;", b"\xb2", b"\xef\xbc\x95", b"5\t5",
          b"0 ,5", b"NaN",
          b"9223372036854775808", b"9223372036854775809", b"18446744073709551615",
          b"18446744073709551616", b"18446744073709551621", b"1" + b"0" * 39, b"9" * 40, b"0" * 40 +
          b"5",
          b"99999999999999999999", b"5\0", b"\x0b5"):
    refuse(G, repr(v)[2:-1] or "empty", put(b"Content-Length: " + v + b"\r\n", b"hello"))
refuse(G, "twice-equal", put(b"Content-Length: 5\r\n" * 2, b"hello"))
refuse(G, "twice-different", put(b"Content-Length: 5\r\nContent-Length: 6\r\n", b"hello"))
refuse(G, "twice-case", put(b"Content-Length: 5\r\ncontent-length: 5\r\n", b"hello"))
refuse(G, "second-empty", put(b"Content-Length: 5\r\nContent-Length:\r\n", b"hello"))
refuse(G, "twice-zero", put(b"Content-Length: 0\r\n" * 2))
refuse(G, "space-before-colon", put(b"Content-Length : 5\r\n", b"hello"))
refuse(G, "on-get-twice", req(fields=b"Content-Length: 5\r\nContent-Length: 0\r\n", body=b"hello"))
for n in (2**31 - 1, 2**31, 2**31 + 1, 2**32 - 1, 2**32, 2**32 + 1, 2**32 + 5, 2**63 - 1, 2**53 +
          1):
    refuse(G, f"large-{n}", put(b"Content-Length: %d\r\n" % n, b"hello"), 413)
    refuse(G, f"large-get-{n}", req(fields=b"Content-Length: %d\r\n" % n, body=b"hello"),
           {200, 413})
serve(G, "ok-zero", put(b"Content-Length: 0\r\n"), 400, code="MANIFEST_INVALID")
serve(G, "ok-five", put(b"Content-Length: 5\r\n", b"hello"), 400, code="MANIFEST_INVALID")
serve(G, "leading-zeros", put(b"Content-Length: 0005\r\n", b"hello"), 400, code="MANIFEST_INVALID")
serve(G, "white-space", put(b"Content-Length:\t 5 \t\r\n", b"hello"), 400, code="MANIFEST_INVALID")
serve(G, "body-is-a-request", put(b"Content-Length: %d\r\n" % len(POISON), POISON), 400,
      code="MANIFEST_INVALID")
serve(G, "get-with-body", req(fields=b"Content-Length: 5\r\n", body=b"hello"))
serve(G, "get-with-body-request", req(fields=b"Content-Length: %d\r\n" % len(POISON), body=POISON))
serve(G, "get-with-64k", req(fields=b"Content-Length: 65536\r\n", body=b"a" * 65536))
serve(G, "head-with-body", req(b"HEAD /v2/ HTTP/1.1", b"Content-Length: 5\r\n", body=b"hello"))
serve(G, "unknown-path-body", req(b"PUT /nothing HTTP/1.1", b"Content-Length: 5\r\n",
                                  body=b"hello"), 404)

# ---- Transfer-Encoding ---------------------------------------------------------------------------

G = "coding"
END = b"0\r\n\r\n"
for v, want in {
    b"": 400, b"gzip": 501, b"identity": 501, b"deflate": 501, b"xchunked": 501, b"chunkedx": 501,
    b"chunke": 501,
    b"x": 501, b"gzip, chunked": 400, b"chunked, gzip": 400, b"chunked, chunked": 400,
    b"chunked,chunked": 400, b"identity, chunked": 400, b"chunked, identity": 400, b"chunked,": 400,
    b",chunked": 400, b", chunked": 400, b",": 400, b"chunked;q=1": 400, b"chunked ;a": 400,
    b"chunked;": 400,
    b'"chunked"': 400, b"'chunked'": {400, 501}, b"chunked chunked": 400, b"chun ked": 400,
    b"chunked\x80": 400,
    b"\xa0chunked": 400, b"\x0bchunked": 400, b"chunked\x0c": 400, b"chunked\0": 400,
    b"\0chunked": 400,
    b"chunked\x7f": 400, b"gzip;chunked": 400, b"chunked/1": 400, b"cow": 501, b"chunked=": 400,
    b"chunked:": 400, b"[chunked]": 400, b"ch\xfcnked": 400, b"chunked\r": 400,
}.items():
    refuse(G, repr(v)[2:-1] or "empty", put(b"Transfer-Encoding: " + v + b"\r\n", END), want)
for name, fields in {
    "twice": CHUNKED * 2, "gzip-then-chunked": b"Transfer-Encoding: gzip\r\n" + CHUNKED,
    "chunked-then-gzip": CHUNKED + b"Transfer-Encoding: gzip\r\n",
    "chunked-then-identity": CHUNKED + b"Transfer-Encoding: identity\r\n",
    "chunked-then-empty": CHUNKED + b"Transfer-Encoding:\r\n",
    "empty-then-chunked": b"Transfer-Encoding:\r\n" + CHUNKED,
    "with-length-zero": CHUNKED + b"Content-Length: 0\r\n",
    "length-first": b"Content-Length: 0\r\n" + CHUNKED,
    "bad-with-length": b"Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n",
    "with-bad-length": CHUNKED + b"Content-Length: x\r\n",
    "tab-before-colon": b"Transfer-Encoding\t: chunked\r\n",
    "space-before-name": b" Transfer-Encoding: chunked\r\n",
    "lf-before": b"X: y\nTransfer-Encoding: chunked\r\n",
    "nul-in-name": b"Transfer\0Encoding: chunked\r\n",
    "nominated": CHUNKED + b"Connection: transfer-encoding\r\nContent-Length: 5\r\n",
}.items():
    refuse(G, "fields-" + name, put(fields, END))
refuse(G, "http10", req(b"PUT " + MANIFEST + b" HTTP/1.0", CHUNKED, body=END))
refuse(G, "http10-keep-alive", req(b"PUT " + MANIFEST + b" HTTP/1.0",
                                   CHUNKED + b"Connection: keep-alive\r\n", body=END))
refuse(G, "cl-te", req(b"POST /v2/ HTTP/1.1", b"Content-Length: 6\r\n" + CHUNKED, body=END + b"G"))
refuse(G, "te-cl", req(b"POST /v2/ HTTP/1.1", b"Content-Length: 4\r\n" + CHUNKED,
                       body=b"%x\r\n" % len(POISON) + POISON + b"\r\n" + END))
refuse(G, "on-get", req(fields=b"Transfer-Encoding: identity\r\n"), 501)
for v in (b"chunked", b"Chunked", b"CHUNKED", b"\tchunked \t"):
    serve(G, "ok-" + repr(v)[2:-1], put(b"Transfer-Encoding: " + v + b"\r\n", END), 400,
          code="MANIFEST_INVALID")
serve(G, "ok-get", req(fields=CHUNKED, body=b"5\r\nhello\r\n" + END))
serve(G, "ok-get-request",
      req(fields=CHUNKED, body=b"%x\r\n" % len(POISON) + POISON + b"\r\n" + END))

# ---- Chunked bodies ------------------------------------------------------------------------------

G = "chunk"
for name, body in {
    "no-size": b"\r\nhello\r\n" + END, "lf-only": b"\n", "not-hex": b"g\r\n", "negative": b"-1\r\n",
    "negative-five": b"-5\r\nhello\r\n" + END, "plus": b"+5\r\nhello\r\n" + END,
    "0x": b"0x5\r\nhello\r\n" + END,
    "space-before": b" 5\r\nhello\r\n" + END, "tab-before": b"\t5\r\nhello\r\n" + END,
    "space-after": b"5 \r\nhello\r\n" + END, "tab-after": b"5\t\r\nhello\r\n" + END,
    "space-before-ext": b"5 ;a\r\nhello\r\n" + END, "comma": b"5,5\r\nhello\r\n" + END,
    "dot": b"5.0\r\nhello\r\n" + END, "underscore": b"0_5\r\nhello\r\n" + END,
    "letter-h": b"5h\r\nhello\r\n" + END,
    "bare-lf-size": b"5\nhello\r\n" + END, "bare-lf-all": b"5\nhello\n0\n\n",
    "bare-cr-size": b"5\rhello\r\n" + END,
    "crcrlf-size": b"5\r\r\nhello\r\n" + END, "bare-lf-data": b"5\r\nhello\n" + END,
    "bare-cr-data": b"5\r\nhello\r" + END, "no-crlf-data": b"5\r\nhello" + END,
    "data-too-long": b"5\r\nhello!\r\n" + END, "data-too-short": b"6\r\nhello\r\n" + END,
    "two-spill-bytes": b"5\r\nhelloXX0\r\n\r\n", "empty-line": b"5\r\nhello\r\n\r\n" + END,
    "max-plus-one": b"8000000000000000\r\n", "all-ones": b"ffffffffffffffff\r\nhello\r\n" + END,
    "wraps-to-zero": b"10000000000000000\r\n\r\n",
    "wraps-to-five": b"10000000000000005\r\nhello\r\n" + END,
    "17-digits": b"00000000000000005\r\nhello\r\n" + END, "17-zeros": b"0" * 17 + b"\r\n\r\n",
    "40-digits": b"f" * 40 + b"\r\n", "many-zeros": b"0" * 1000 + b"5\r\nhello\r\n" + END,
    "wraps-32": b"f00000000000000000005\r\n", "nul-size": b"5\0\r\nhello\r\n" + END,
    "nul-first": b"\0" + END,
    "high-digit": b"\xb5\r\nhello\r\n" + END, "full-width": b"\xef\xbc\x95\r\nhello\r\n" + END,
    "ext-empty": b"5;\r\nhello\r\n" + END, "ext-equals": b"5;=a\r\nhello\r\n" + END,
    "ext-no-value": b"5;a=\r\nhello\r\n" + END, "ext-space": b"5; a=b\r\nhello\r\n" + END,
    "ext-bare-lf": b"5;a\nhello\r\n" + END, "ext-bare-cr": b"5;a\rX\r\nhello\r\n" + END,
    "ext-term-lf": b"5;\nhello\r\n" + END, "ext-nul": b"5;a\0\r\nhello\r\n" + END,
    "ext-control": b"5;a=\x01\r\nhello\r\n" + END, "ext-quote-open": b'5;a="b\r\nhello\r\n' + END,
    "ext-quote-lf": b'5;a="\n"\r\nhello\r\n' + END, "ext-quote-crlf": b'5;a="\r\n"\r\nhello\r\n' +
    END,
    "ext-quote-junk": b'5;a="b"c\r\nhello\r\n' + END, "ext-double": b"5;;a\r\nhello\r\n" + END,
    "ext-257": b"5;" + b"a" * 256 + b"\r\nhello\r\n" + END, "ext-8k": b"5;" + b"a" * 8192 +
    b"\r\nhello\r\n" + END,
    "ext-sum": b"1;" + b"a" * 99 + b"\r\nx\r\n1;" + b"a" * 99 + b"\r\nx\r\n1;" + b"a" * 99 +
    b"\r\nx\r\n" + END,
    "ext-flood": b"1;a\r\nx\r\n" * 200 + END, "end-bare-lf": b"0\n\n", "end-lf-only": b"0\r\n\n",
    "end-cr-only": b"0\r\n\rX", "end-ext-lf": b"0;a\n\r\n", "end-space": b"0 \r\n\r\n",
    "end-crcr": b"0\r\n\r\r\n",
    "trailer-no-colon": b"0\r\nX\r\n\r\n", "trailer-space": b"0\r\nX : y\r\n\r\n",
    "trailer-fold": b"0\r\nX: y\r\n z\r\n\r\n",
    "trailer-lf": b"0\r\nX: y\n\r\n", "trailer-cr": b"0\r\nX: a\rb\r\n\r\n",
    "trailer-nul": b"0\r\nX: \0\r\n\r\n",
    "trailer-control": b"0\r\nX: \x01\r\n\r\n", "trailer-no-name": b"0\r\n: y\r\n\r\n",
    "trailer-is-a-request": b"0\r\n" + POISON, "request-instead-of-crlf": b"5\r\nhello" + POISON,
}.items():
    refuse(G, name, put(CHUNKED, body), 400, code="BAD_REQUEST")
refuse(G, "trailer-8193", put(CHUNKED, b"0\r\nX:" + b"a" * 8189 + b"\r\n\r\n"), {400, 431})
refuse(G, "trailer-many", put(CHUNKED, b"0\r\n" + b"X: y\r\n" * 1400 + b"\r\n"), {400, 431})
# More than a route without a body drops. One read brings the end of it and the next request, so that
# one begins where the other ends.
serve(G, "dropped-too-large", req(b"GET /v2/_catalog HTTP/1.1", CHUNKED, body=b"f000\r\n" + b"a" *
                                  0xf000 + b"\r\n2000\r\n" + b"a" * 0x2000 + b"\r\n" + END), 413)
refuse(G, "on-get", req(fields=CHUNKED, body=b"5\nhello\n0\n\n"), {200, 400}, announced=False)
refuse(G, "on-404", req(b"PUT /nothing HTTP/1.1", CHUNKED, body=b"g\r\n"), {400, 404},
       announced=False)
refuse(G, "manifest-too-large", put(CHUNKED, b"500000\r\n" + b"a" * 0x500000 + b"\r\n" + END), 413,
       announced=False)
refuse(G, "size-too-large", put(CHUNKED, b"7fffffffffffffff\r\n" + b"a" * 0x500000), 413,
       announced=False)
for name, body in {
    "empty": END, "one": b"5\r\nhello\r\n" + END, "upper": b"A\r\n0123456789\r\n" + END,
    "lower": b"a\r\n0123456789\r\n" + END, "16-digits": b"0000000000000005\r\nhello\r\n" + END,
    "16-zeros": b"0" * 16 + b"\r\n\r\n", "bytes": b"1\r\na\r\n" * 50 + END,
    "crlf-inside": b"4\r\n\r\n0\n\r\n" + END,
    "request-inside": b"%x\r\n" % len(POISON) + POISON + b"\r\n" + END,
    "ext": b"5;a=b\r\nhello\r\n" + END,
    "ext-quoted": b'5;a="b;\\"c"\r\nhello\r\n0;d\r\n\r\n', "ext-256": b"5;" + b"a" * 255 +
    b"\r\nhello\r\n" + END,
    "trailer": b"0\r\nX: y\r\n\r\n",
    "trailer-forbidden": b"0\r\nContent-Length: 44\r\nTransfer-Encoding: chunked\r\n\r\n",
    "trailer-8192": b"0\r\nX:" + b"a" * 8188 + b"\r\n\r\n",
}.items():
    serve(G, "ok-" + name, put(CHUNKED, body), 400, code="MANIFEST_INVALID")
serve(G, "ok-dribbled", put(CHUNKED, b"5;a=b\r\nhello\r\n" + END), 400, code="MANIFEST_INVALID",
      pieces=1)

# ---- Limits --------------------------------------------------------------------------------------

G = "limit"


def filled(total):
    """A head of exactly so many bytes."""
    start = b"GET /v2/ HTTP/1.1\r\n" + HOST
    left = total - len(start) - 2
    lines = b""
    while left > 0:
        n = left if left <= LINE_MAX else min(left - 10, LINE_MAX)
        lines += b"X:" + b"a" * (n - 4) + b"\r\n"
        left -= n
    return start + lines + b"\r\n"


def target(n):
    return req(b"GET /" + b"a" * (n - 1) + b" HTTP/1.1")


serve(G, "target-8192", target(LINE_MAX), 404)
refuse(G, "target-8193", target(LINE_MAX + 1), 414)
refuse(G, "target-9000", target(9000), 414)
refuse(G, "target-30000", target(30000), 414)
refuse(G, "target-endless", b"GET /" + b"a" * 100000, 414)
serve(G, "query-8192", req(b"GET /v2/?" + b"a" * (LINE_MAX - 5) + b" HTTP/1.1"))
refuse(G, "query-8193", req(b"GET /v2/?" + b"a" * (LINE_MAX - 4) + b" HTTP/1.1"), 414)
serve(G, "line-8192", req(fields=b"X:" + b"a" * (LINE_MAX - 2) + b"\r\n"))
refuse(G, "line-8193", req(fields=b"X:" + b"a" * (LINE_MAX - 1) + b"\r\n"), 431)
refuse(G, "line-endless", b"GET /v2/ HTTP/1.1\r\nX: " + b"a" * 100000, 431)
serve(G, "name-8191", req(fields=b"a" * (LINE_MAX - 1) + b":\r\n"))
refuse(G, "name-8192", req(fields=b"a" * LINE_MAX + b":\r\n"), 431)
serve(G, "spaces-8192", req(fields=b"X:" + b" " * (LINE_MAX - 2) + b"\r\n"))
refuse(G, "spaces-8193", req(fields=b"X:" + b" " * (LINE_MAX - 1) + b"\r\n"), 431)
serve(G, "fields-100", req(fields=b"X: y\r\n" * (FIELDS_MAX - 1)))
refuse(G, "fields-101", req(fields=b"X: y\r\n" * FIELDS_MAX), 431)
refuse(G, "fields-1000", req(fields=b"X: y\r\n" * 1000), 431)
refuse(G, "fields-endless", b"GET /v2/ HTTP/1.1\r\n" + b"X: y\r\n" * 20000, 431)
serve(G, "head-32768", filled(HEAD_MAX))
refuse(G, "head-32769", filled(HEAD_MAX + 1), 431)
refuse(G, "head-40000", filled(40000), 431)
serve(G, "head-32768-in-pieces", filled(HEAD_MAX), pieces=1000)
refuse(G, "no-crlf-ever", b"A" * 100000, {400, 414, 501})
refuse(G, "empty-lines-forever", b"\r\n" * 5000)

# ---- Expect, Connection, old clients -------------------------------------------------------------

G = "connection"
for v in (b"200-ok", b"", b"100-continue, 100-continue", b"100", b"x", b"100-continue;a",
          b'"100-continue"'):
    refuse(G, "expect-" + repr(v)[2:-1], put(b"Expect: " + v + b"\r\nContent-Length: 0\r\n"), 417)
serve(G, "expect-continue", put(b"Expect: 100-continue\r\nContent-Length: 5\r\n", b"hello"), 400,
      code="MANIFEST_INVALID")
serve(G, "expect-case", put(b"Expect: 100-CONTINUE\r\nContent-Length: 5\r\n", b"hello"), 400,
      code="MANIFEST_INVALID")
serve(G, "expect-chunked", put(b"Expect: 100-continue\r\n" + CHUNKED, b"5\r\nhello\r\n" + END), 400,
      code="MANIFEST_INVALID")
serve(G, "expect-no-body", req(fields=b"Expect: 100-continue\r\n"))
for v in (b"close", b"Close", b"CLOSE", b"keep-alive, close", b"close, TE", b"TE ,close",
          b",close,"):
    refuse(G, repr(v)[2:-1], req(fields=b"Connection: " + v + b"\r\n"), 200)
refuse(G, "close-then-keep-alive", req(fields=b"Connection: close\r\nConnection: keep-alive\r\n"),
       200)
refuse(G, "close-on-404", req(b"GET /nothing HTTP/1.1", b"Connection: close\r\n"), 404)
for v in (b"keep-alive", b"Keep-Alive, TE", b"", b",", b"closed", b"clos", b"\"close\"",
          b"not-close"):
    serve(G, "open-" + repr(v)[2:-1], req(fields=b"Connection: " + v + b"\r\n"))
refuse(G, "http10", b"GET /v2/ HTTP/1.0\r\n\r\n", 200)
refuse(G, "http10-host", req(b"GET /v2/ HTTP/1.0"), 200)
refuse(G, "http10-close", req(b"GET /v2/ HTTP/1.0", b"Connection: close\r\n"), 200)
serve(G, "http10-keep-alive", req(b"GET /v2/ HTTP/1.0", b"Connection: keep-alive\r\n"))
serve(G, "http10-body", req(b"PUT " + MANIFEST + b" HTTP/1.0",
                            b"Connection: keep-alive\r\nContent-Length: 5\r\n",
                            body=b"hello"), 400, code="MANIFEST_INVALID")

# ---- Paths ---------------------------------------------------------------------------------------

G = "path"
for p in ("//", "///", "/v2//", "//v2/", "/v2/.", "/v2/..", "/./v2/", "/../v2/", "/v2/../v2/",
          "/v2/./", "/v2/../",
          "/%76%32/", "/v2%2f", "/v2/%2e%2e/v2/", "/v2/%2e/", "/v2/a/../tags/list",
          "/v2/a/./tags/list",
          "/v2/a/%2e%2e/tags/list", "/v2/a%2ftags/list", "/v2/a/tags%2flist", "/v2/a%2Fb/tags/list",
          "/v2/a%252fb/tags/list", "/v2/a%00/tags/list", "/v2/%00/tags/list",
          "/v2/a%0d%0aX:y/tags/list",
          "/v2/a%5c..%5cb/tags/list", "/v2/a\\..\\b/tags/list", "/v2/%c0%af/tags/list",
          "/v2/%c0%ae%c0%ae/tags/list",
          "/v2/%u002e/tags/list", "/v2/%/tags/list", "/v2/%zz/tags/list", "/v2//tags/list",
          "/v2/a//tags/list",
          "/v2/a/tags//list", "/v2/a/tags/list/", "/v2/a/tags/list//", "/v2/a/manifests/",
          "/v2/a/manifests/..",
          "/v2/a/manifests/../x", "/v2/a/manifests/%2e%2e%2f", "/v2/a/manifests/b/", "/v2/a/blobs/",
          "/v2/a/blobs/../x",
          "/v2/a/blobs/sha256:%2e%2e", "/v2/a/blobs/..%2f..%2fetc%2fpasswd",
          "/v2/../../../../etc/passwd",
          "/v2/a/blobs/sha256:../../etc/passwd", "/v2/..;/a/tags/list", "/v2/a;b/tags/list", "/V2/",
          "/v1/", "/v2a", "/v",
          "/v2/.git/config", "/v2/a/manifests/%252e%252e", "/v2/_catalog/", "/v2/_catalogs",
          "/.well-known/x", "/%",
          "/v2/*/tags/list", "/v2/~root/tags/list", "/v2/a@b/tags/list", "/v2/A/tags/list",
          "/v2/a:b/tags/list", "/v2/a%3Ab/tags/list", "/v2/a/tags%3Alist", "/v2/a/blobs/sha256%3A",
          "/v2/a/blobs/sha256%3A%2e%2e", "/v2/a/blobs/sha256%253A" + "0" * 64,
          "/v2/a%2fblobs%2fsha256%3A" + "0" * 64):
    serve(G, p, req(b"GET " + p.encode() + b" HTTP/1.1"), {400, 404})
for p in (b"/v2/a\0b/tags/list", b"/v2/\x01", b"/v2/\x80", b"/v2/\xc0\xae\xc0\xae/", b"/v2/\xff",
          b"/v2/a\x0b/x",
          b"/v2/\xe2\x80\xae"):
    refuse(G, repr(p)[2:-1], req(b"GET " + p + b" HTTP/1.1"))
serve(G, "encoded-colon", req(b"GET /v2/a/blobs/sha256%3A" + b"0" * 64 + b" HTTP/1.1"), 404,
      code="BLOB_UNKNOWN")
serve(G, "blobs-uploads-is-no-blob", req(b"GET /v2/a/blobs/uploads/ HTTP/1.1"), {404, 405})
serve(G, "blobs-uploads-no-slash", req(b"DELETE /v2/a/blobs/uploads HTTP/1.1"), {404, 405})
serve(G, "no-slash", req(b"GET /v2 HTTP/1.1"))
serve(G, "unknown-is-json", req(b"GET /nothing/here HTTP/1.1"), 404, code="NOT_FOUND")

# ---- Other protocols, broken clients -------------------------------------------------------------

G = "foreign"
# Record, handshake, version, random, no session, two ciphers, no compression, padding of zeros.
CLIENT_HELLO = (bytes.fromhex("160301005a" "01000056" "0303") + b"\xaa" * 32 +
                bytes.fromhex("00" "000413011302" "0100") + b"\0" * 46)
refuse(G, "tls-client-hello", CLIENT_HELLO, 400, poison=b"", detail=b"plain HTTP")
refuse(G, "tls-then-request", CLIENT_HELLO, 400)
refuse(G, "tls-one-byte", b"\x16", 400, poison=b"")
refuse(G, "sslv2", b"\x80\x2e\x01\x03\x01", {SILENT, 400}, poison=b"")
refuse(G, "http2-preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", {400, 505})
refuse(G, "ssh", b"SSH-2.0-OpenSSH_9.2\r\n", 400)
refuse(G, "smtp", b"EHLO h\r\nMAIL FROM:<a@b>\r\n", 400)
refuse(G, "redis", b"*1\r\n$4\r\nPING\r\n", 400)
refuse(G, "proxy-v1", b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n" + req(), 400)
refuse(G, "proxy-v2", b"\r\n\r\n\0\r\nQUIT\n" + b"\x21\x11\0\x0c" + b"\0" * 12 + req(), 400)
refuse(G, "json", b'{"a": 1}\r\n', 400)
refuse(G, "binary", bytes(range(256)), 400)
refuse(G, "zeros", b"\0" * 1000, 400)
refuse(G, "response", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 400)
refuse(G, "utf8-bom", b"\xef\xbb\xbf" + req(), 400)
refuse(G, "utf16", req().decode().encode("utf-16-le"), 400)
for name, data in {"nothing": b"", "method": b"GET", "line": b"GET /v2/ HTTP/1.1\r\n",
                   "field": req()[:-4],
                   "no-last-lf": req()[:-1], "empty-line": b"\r\n",
                   "half-length": put(b"Content-Length: 10\r\n", b"hello"),
                   "half-chunk": put(CHUNKED, b"a\r\nhello"),
                   "no-last-chunk": put(CHUNKED, b"5\r\nhello\r\n"),
                   "no-last-crlf": put(CHUNKED, b"5\r\nhello\r\n0\r\n")}.items():
    refuse("eof", name, data, {SILENT, 400}, eof=True)
refuse("eof", "after-a-request", req(), 200, eof=True)
# Who shuts down while a request is being worked on has left, or has not: either may be assumed.
refuse("eof", "after-a-body", put(b"Content-Length: 5\r\n", b"hello"), {SILENT, 400}, eof=True)


# ---- Delivery ------------------------------------------------------------------------------------

G = "delivery"
ORDINARY = req(b"GET /v2/?a=b HTTP/1.1", b"User-Agent: x\r\nAccept: */*\r\n")
for n in (1, 2, 3, 7, 16, 17):
    serve(G, f"in-pieces-of-{n}", ORDINARY, pieces=n)
refuse(G, "bad-in-bytes", req(fields=b"X : y\r\n"), pieces=1)
refuse(G, "length-twice-in-bytes", put(b"Content-Length: 5\r\n" * 2, b"hello"), pieces=1)
