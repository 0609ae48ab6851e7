/* SPDX-License-Identifier: Apache-2.0 */
/* Every statement that the backend runs, by name: X(id, text). Statements are prepared once per
 * connection and looked up by id.
 *
 * Parameters are $1, $2, … and each appears for the first time in that order (SQLite numbers named
 * parameters by first appearance; preparing checks it). States are the numbers of enum blob_state
 * and enum upload_state: blobs 0 pending, 1 live, 2 deleting; uploads 0 open, 1 done. They are
 * literals because partial indexes match literals only. tests/unit/meta/test_meta_sqlite.c proves
 * that no statement scans or sorts. */
#ifndef META_SQL_H
#define META_SQL_H

/* One row when the blob is live and linked. The CASE keeps the look-up of edges off the usual path:
 * a lease that ends after $1 (an hour from now) answers first. */
#define SQL_BLOB_GET_COLUMNS                                            \
    "b.size, b.is_inline, CASE WHEN l.lease_ms > $1 THEN 0 "            \
    "WHEN EXISTS (SELECT 1 FROM manifest_blobs e WHERE e.blob = b.id) " \
    "THEN 0 ELSE 1 END"
#define SQL_BLOB_GET_WHERE "WHERE r.name = $2 AND b.digest = $3 AND b.state = 1"
#define SQL_BLOB_GET_FROM                              \
    "FROM blobs b JOIN repo_blobs l ON l.blob = b.id " \
    "JOIN repositories r ON r.id = l.repo "

#define SQL_MANIFEST_BY_TAG                             \
    "FROM repositories r JOIN tags t ON t.repo = r.id " \
    "JOIN manifests m ON m.id = t.manifest "
#define SQL_MANIFEST_BY_DIGEST "FROM repositories r JOIN manifests m ON m.repo = r.id "
#define SQL_MANIFEST_BODY "JOIN payloads p ON p.id = m.payload "

#define SQL_REFERRER_COLUMNS                                   \
    "SELECT m.digest, m.media_type, m.artifact_type, m.size, " \
    "m.annotations " SQL_MANIFEST_BY_DIGEST

#define SQL_STATEMENTS(X)                                                                          \
    /* --- connection and writer --- */                                                            \
    X(SQL_BEGIN, "BEGIN IMMEDIATE")                                                                \
    X(SQL_COMMIT, "COMMIT")                                                                        \
    X(SQL_ROLLBACK, "ROLLBACK")                                                                    \
    X(SQL_SAVEPOINT, "SAVEPOINT one")                                                              \
    X(SQL_ROLLBACK_TO, "ROLLBACK TO one")                                                          \
    X(SQL_RELEASE, "RELEASE one")                                                                  \
    X(SQL_PING, "SELECT n FROM generation WHERE id = 1")                                           \
    X(SQL_GENERATION, "UPDATE generation SET n = n + 1 WHERE id = 1 RETURNING n")                  \
    X(SQL_STATS, "SELECT repositories, manifests, tags, blobs, uploads, blob_bytes "               \
                 "FROM counts WHERE id = 1")                                                       \
    /* --- repositories --- */                                                                     \
    X(SQL_REPO_ID, "SELECT id FROM repositories WHERE name = $1")                                  \
    X(SQL_REPO_ADD, "INSERT INTO repositories (name, created_ms) VALUES ($1, $2) RETURNING id")    \
    X(SQL_REPO_LIST, "SELECT name FROM repositories WHERE name > $1 ORDER BY name LIMIT $2")       \
    /* --- uploads --- */                                                                          \
    X(SQL_UPLOAD_ADD, "INSERT INTO uploads (id, repo, alg, started_ms, touched_ms, state, "        \
                      "received, staged, bytes) "                                                  \
                      "VALUES ($1, $2, $3, $4, $4, 0, 0, 0, $5) ON CONFLICT (id) DO NOTHING")      \
    X(SQL_UPLOAD_GET, "SELECT state, received, staged, alg, digest, started_ms, bytes "            \
                      "FROM uploads WHERE id = $1 AND repo = $2")                                  \
    X(SQL_UPLOAD_SAVE,                                                                             \
      "UPDATE uploads SET received = $1, staged = $2, bytes = $3, touched_ms = $4 "                \
      "WHERE id = $5 AND repo = $6 AND state = 0")                                                 \
    X(SQL_UPLOAD_DELETE, "DELETE FROM uploads WHERE id = $1 AND repo = $2 AND state = 0")          \
    X(SQL_UPLOAD_DONE,                                                                             \
      "UPDATE uploads SET state = 1, digest = $1, received = $2, staged = 0, bytes = NULL, "       \
      "touched_ms = $3 WHERE id = $4 AND repo = $5 AND state = 0")                                 \
    X(SQL_UPLOAD_TOUCH,                                                                            \
      "UPDATE uploads SET touched_ms = $1 WHERE id = $2 AND repo = $3 AND state = 0")              \
    X(SQL_UPLOAD_STALE, "SELECT repo, id FROM uploads WHERE state = 0 AND touched_ms < $1 "        \
                        "ORDER BY touched_ms LIMIT $2")                                            \
    X(SQL_UPLOAD_EXPIRE, "DELETE FROM uploads WHERE id = $1 AND state = 0 AND touched_ms < $2")    \
    X(SQL_TOMBSTONES_EXPIRE, "DELETE FROM uploads WHERE n IN (SELECT n FROM uploads WHERE "        \
                             "state = 1 AND touched_ms < $1 ORDER BY touched_ms LIMIT $2)")        \
    X(SQL_UPLOAD_STATE, "SELECT state FROM uploads WHERE id = $1")                                 \
    /* --- blobs --- */                                                                            \
    X(SQL_BLOB_GET, "SELECT " SQL_BLOB_GET_COLUMNS " " SQL_BLOB_GET_FROM SQL_BLOB_GET_WHERE)       \
    X(SQL_BLOB_GET_BYTES, "SELECT " SQL_BLOB_GET_COLUMNS ", d.data " SQL_BLOB_GET_FROM             \
                          "LEFT JOIN blob_data d ON d.blob = b.id " SQL_BLOB_GET_WHERE)            \
    X(SQL_BLOB_ROW, "SELECT id, size, state, epoch, lease_ms, generation, is_inline "              \
                    "FROM blobs WHERE digest = $1")                                                \
    X(SQL_BLOB_LIVE, "SELECT id FROM blobs WHERE digest = $1 AND state = 1")                       \
    X(SQL_BLOB_ADD,                                                                                \
      "INSERT INTO blobs (digest, size, state, epoch, lease_ms, generation, created_ms, "          \
      "is_inline) VALUES ($1, $2, $3, 1, $4, $5, $6, $7) RETURNING id")                            \
    X(SQL_BLOB_SET, "UPDATE blobs SET size = $1, state = $2, epoch = $3, lease_ms = $4, "          \
                    "generation = $5, is_inline = $6 WHERE id = $7")                               \
    X(SQL_BLOB_DATA_ADD, "INSERT INTO blob_data (blob, data) VALUES ($1, $2)")                     \
    X(SQL_BLOB_DATA_DELETE, "DELETE FROM blob_data WHERE blob = $1")                               \
    X(SQL_BLOB_REMOVE, "DELETE FROM blobs WHERE id = $1")                                          \
    X(SQL_BLOB_PENDING,                                                                            \
      "SELECT digest, size, epoch FROM blobs WHERE state = 0 AND digest > $1 AND "                 \
      "(lease_ms <= $2 OR generation <> $3) ORDER BY digest LIMIT $4")                             \
    X(SQL_BLOB_GRACE, "UPDATE blobs SET lease_ms = $1 WHERE id IN (SELECT blob FROM "              \
                      "manifest_blobs WHERE manifest = $2) AND lease_ms < $1")                     \
    X(SQL_BLOB_GRACE_ONE, "UPDATE blobs SET lease_ms = $1 WHERE digest = $2 AND lease_ms < $1")    \
    X(SQL_LINK_PUT, "INSERT INTO repo_blobs (repo, blob, lease_ms) VALUES ($1, $2, $3) "           \
                    "ON CONFLICT (repo, blob) DO UPDATE SET lease_ms = excluded.lease_ms")         \
    X(SQL_LINK_ADD, "INSERT INTO repo_blobs (repo, blob, lease_ms) SELECT $1, b.id, $2 FROM "      \
                    "blobs b WHERE b.digest = $3 AND b.state = 1 "                                 \
                    "ON CONFLICT (repo, blob) DO NOTHING")                                         \
    X(SQL_LINK_LEASE, "UPDATE repo_blobs SET lease_ms = $1 WHERE repo = (SELECT id FROM "          \
                      "repositories WHERE name = $2) AND blob = (SELECT id FROM blobs WHERE "      \
                      "digest = $3 AND state = 1)")                                                \
    X(SQL_LINK_DELETE, "DELETE FROM repo_blobs WHERE repo = $1 AND blob = (SELECT id FROM blobs "  \
                       "WHERE digest = $2 AND state = 1)")                                         \
    X(SQL_LINKED_BLOB, "SELECT b.id FROM blobs b JOIN repo_blobs l ON l.blob = b.id "              \
                       "WHERE l.repo = $1 AND b.digest = $2 AND b.state = 1")                      \
    X(SQL_LINKED_ANYWHERE, "SELECT b.id FROM blobs b WHERE b.digest = $1 AND b.state = 1 AND "     \
                           "EXISTS (SELECT 1 FROM repo_blobs l WHERE l.blob = b.id)")              \
    /* --- manifests and tags --- */                                                               \
    X(SQL_MANIFEST_TAG, "SELECT m.digest, m.media_type, m.size, t.updated_ms " SQL_MANIFEST_BY_TAG \
                        "WHERE r.name = $1 AND t.name = $2")                                       \
    X(SQL_MANIFEST_TAG_BODY,                                                                       \
      "SELECT m.digest, m.media_type, m.size, t.updated_ms, p.body " SQL_MANIFEST_BY_TAG           \
          SQL_MANIFEST_BODY "WHERE r.name = $1 AND t.name = $2")                                   \
    X(SQL_MANIFEST_DIGEST, "SELECT m.digest, m.media_type, m.size, 0 " SQL_MANIFEST_BY_DIGEST      \
                           "WHERE r.name = $1 AND m.digest = $2")                                  \
    X(SQL_MANIFEST_DIGEST_BODY,                                                                    \
      "SELECT m.digest, m.media_type, m.size, 0, p.body " SQL_MANIFEST_BY_DIGEST SQL_MANIFEST_BODY \
      "WHERE r.name = $1 AND m.digest = $2")                                                       \
    X(SQL_MANIFEST_ID, "SELECT id FROM manifests WHERE repo = $1 AND digest = $2")                 \
    X(SQL_MANIFEST_ADD,                                                                            \
      "INSERT INTO manifests (repo, digest, payload, size, media_type, artifact_type, subject, "   \
      "annotations, created_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id")         \
    X(SQL_MANIFEST_REMOVE, "DELETE FROM manifests WHERE id = $1 RETURNING payload")                \
    X(SQL_PAYLOAD_ID, "SELECT id FROM payloads WHERE sha256 = $1")                                 \
    X(SQL_PAYLOAD_ADD, "INSERT INTO payloads (sha256, body) VALUES ($1, $2) RETURNING id")         \
    X(SQL_PAYLOAD_DROP, "DELETE FROM payloads WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM "        \
                        "manifests m WHERE m.payload = $1)")                                       \
    X(SQL_EDGE_BLOB, "INSERT INTO manifest_blobs (manifest, blob) VALUES ($1, $2) "                \
                     "ON CONFLICT (manifest, blob) DO NOTHING")                                    \
    X(SQL_EDGE_CHILD, "INSERT INTO manifest_children (repo, child, manifest) VALUES ($1, $2, $3) " \
                      "ON CONFLICT (repo, child, manifest) DO NOTHING")                            \
    X(SQL_TAG_DIGEST, "SELECT m.digest FROM tags t JOIN manifests m ON m.id = t.manifest "         \
                      "WHERE t.repo = $1 AND t.name = $2")                                         \
    X(SQL_TAG_PUT,                                                                                 \
      "INSERT INTO tags (repo, name, manifest, updated_ms) VALUES ($1, $2, $3, $4) ON CONFLICT "   \
      "(repo, name) DO UPDATE SET manifest = excluded.manifest, updated_ms = excluded.updated_ms") \
    X(SQL_TAG_DELETE, "DELETE FROM tags WHERE repo = $1 AND name = $2")                            \
    X(SQL_TAG_LIST, "SELECT t.name FROM repositories r JOIN tags t ON t.repo = r.id "              \
                    "WHERE r.name = $1 AND t.name > $2 ORDER BY t.name LIMIT $3")                  \
    X(SQL_REFERRERS, SQL_REFERRER_COLUMNS                                                          \
      "WHERE r.name = $1 AND m.subject = $2 AND m.digest > $3 ORDER BY m.digest LIMIT $4")         \
    X(SQL_REFERRERS_TYPE, SQL_REFERRER_COLUMNS                                                     \
      "WHERE r.name = $1 AND m.subject = $2 AND m.artifact_type = $3 AND m.digest > $4 "           \
      "ORDER BY m.digest LIMIT $5")                                                                \
    X(SQL_TAGS_OF, "SELECT name FROM tags WHERE manifest = $1 ORDER BY repo, name")                \
    X(SQL_BLOB_SIZE, "SELECT size FROM blobs WHERE id = $1")                                       \
    /* --- events and cursors --- */                                                               \
    X(SQL_EVENT_ADD,                                                                               \
      "INSERT INTO events (time_ms, uuid, action, repo, digest, media_type, size, tag, "           \
      "from_repo, url, request, actor, refs) "                                                     \
      "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)")                           \
    X(SQL_EVENTS_AFTER, "SELECT id, time_ms, uuid, action, repo, digest, media_type, size, tag, "  \
                        "from_repo, url, request, actor, refs FROM events WHERE id > $1 "          \
                        "ORDER BY id LIMIT $2")                                                    \
    X(SQL_EVENT_NEWEST, "SELECT id FROM events WHERE id > $1 ORDER BY id DESC LIMIT 1")            \
    X(SQL_EVENT_FIRST, "SELECT id FROM events WHERE id > $1 ORDER BY id LIMIT 1")                  \
    X(SQL_EVENTS_PRUNE, "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE id <= $1 "    \
                        "ORDER BY id LIMIT $2)")                                                   \
    X(SQL_CURSOR_ANY, "SELECT 1 FROM cursors WHERE name > $1 LIMIT 1")                             \
    X(SQL_CURSOR_GET, "SELECT position FROM cursors WHERE name = $1")                              \
    X(SQL_CURSOR_ADD, "INSERT INTO cursors (name, position) VALUES ($1, $2)")                      \
    X(SQL_CURSOR_MOVE, "UPDATE cursors SET position = $1 WHERE name = $2 AND position = $3")       \
    X(SQL_CURSOR_REMOVE, "DELETE FROM cursors WHERE name = $1")                                    \
    X(SQL_CURSOR_LOWEST,                                                                           \
      "SELECT position FROM cursors WHERE position >= $1 ORDER BY position LIMIT 1")               \
    /* Ids have no gaps: the first and the last are the count. */                                  \
    X(SQL_CURSOR_LIST,                                                                             \
      "SELECT c.name, c.position, "                                                                \
      "(SELECT e.id FROM events e WHERE e.id > c.position ORDER BY e.id LIMIT 1), "                \
      "(SELECT e.time_ms FROM events e WHERE e.id > c.position ORDER BY e.id LIMIT 1), "           \
      "(SELECT e.id FROM events e WHERE e.id > c.position ORDER BY e.id DESC LIMIT 1) "            \
      "FROM cursors c WHERE c.name > $1 ORDER BY c.name")

enum sql_id {
#define SQL_ENUM(id, text) id,
    SQL_STATEMENTS(SQL_ENUM)
#undef SQL_ENUM
        SQL_COUNT
};

#endif
