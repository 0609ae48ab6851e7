/* SPDX-License-Identifier: Apache-2.0 */
/* The schema, as the list of steps that makes it. Times are wall-clock milliseconds. */
#include "meta/migrate.h"

#include "base/util.h"

#include "base/banned.h"

/* Version 1. Repositories are made by the first push and stay when they become empty. */
static const char repositories[] = "CREATE TABLE repositories ("
                                   "  id INTEGER PRIMARY KEY,"
                                   "  name TEXT NOT NULL UNIQUE,"
                                   "  created_ms INTEGER NOT NULL) STRICT;";

/* state: 0 pending, 1 live, 2 deleting. lease_ms: the collector (or, for a pending blob, recovery)
 * leaves the row alone until then. generation: the process that made it pending. The bytes of small
 * blobs are in a table of their own, so that changing a state or a lease does not rewrite them. */
static const char blobs[] = "CREATE TABLE blobs ("
                            "  id INTEGER PRIMARY KEY,"
                            "  digest TEXT NOT NULL UNIQUE,"
                            "  size INTEGER NOT NULL CHECK (size >= 0),"
                            "  state INTEGER NOT NULL CHECK (state IN (0, 1, 2)),"
                            "  epoch INTEGER NOT NULL,"
                            "  lease_ms INTEGER NOT NULL,"
                            "  generation INTEGER NOT NULL,"
                            "  created_ms INTEGER NOT NULL,"
                            "  is_inline INTEGER NOT NULL CHECK (is_inline IN (0, 1))) STRICT;"
                            "CREATE INDEX blobs_pending ON blobs (digest) WHERE state = 0;"
                            "CREATE TABLE blob_data ("
                            "  blob INTEGER PRIMARY KEY REFERENCES blobs (id) ON DELETE CASCADE,"
                            "  data BLOB NOT NULL) STRICT;"
                            "CREATE TABLE repo_blobs ("
                            "  repo INTEGER NOT NULL REFERENCES repositories (id),"
                            "  blob INTEGER NOT NULL REFERENCES blobs (id),"
                            "  lease_ms INTEGER NOT NULL,"
                            "  PRIMARY KEY (repo, blob)) STRICT, WITHOUT ROWID;"
                            "CREATE INDEX repo_blobs_blob ON repo_blobs (blob);";

/* Bytes once for all repositories and for both algorithms: found by the SHA-256 of the bytes. An
 * edge to a child keeps the child's digest, because the child may go and come back. */
static const char manifests[] =
    "CREATE TABLE payloads ("
    "  id INTEGER PRIMARY KEY,"
    "  sha256 TEXT NOT NULL UNIQUE,"
    "  body BLOB NOT NULL) STRICT;"
    "CREATE TABLE manifests ("
    "  id INTEGER PRIMARY KEY,"
    "  repo INTEGER NOT NULL REFERENCES repositories (id),"
    "  digest TEXT NOT NULL,"
    "  payload INTEGER NOT NULL REFERENCES payloads (id),"
    "  size INTEGER NOT NULL,"
    "  media_type TEXT NOT NULL,"
    "  artifact_type TEXT,"
    "  subject TEXT,"
    "  created_ms INTEGER NOT NULL,"
    "  annotations TEXT," /* last: may be long, and few read it */
    "  UNIQUE (repo, digest)) STRICT;"
    "CREATE INDEX manifests_payload ON manifests (payload);"
    "CREATE INDEX manifests_subject ON manifests (repo, subject, digest)"
    "  WHERE subject IS NOT NULL;"
    "CREATE INDEX manifests_subject_type ON manifests (repo, subject, artifact_type, digest)"
    "  WHERE subject IS NOT NULL AND artifact_type IS NOT NULL;"
    "CREATE TABLE manifest_blobs ("
    "  manifest INTEGER NOT NULL REFERENCES manifests (id) ON DELETE CASCADE,"
    "  blob INTEGER NOT NULL REFERENCES blobs (id),"
    "  PRIMARY KEY (manifest, blob)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX manifest_blobs_blob ON manifest_blobs (blob);"
    "CREATE TABLE manifest_children ("
    "  repo INTEGER NOT NULL,"
    "  child TEXT NOT NULL,"
    "  manifest INTEGER NOT NULL REFERENCES manifests (id) ON DELETE CASCADE,"
    "  PRIMARY KEY (repo, child, manifest)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX manifest_children_manifest ON manifest_children (manifest);"
    "CREATE TABLE tags ("
    "  repo INTEGER NOT NULL REFERENCES repositories (id),"
    "  name TEXT NOT NULL,"
    "  manifest INTEGER NOT NULL REFERENCES manifests (id) ON DELETE CASCADE,"
    "  updated_ms INTEGER NOT NULL,"
    "  PRIMARY KEY (repo, name)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX tags_manifest ON tags (manifest);";

/* state: 0 open, 1 done (a tombstone, which answers a repeated PUT). The repository is a name,
 * because it may not exist yet. alg is enum hash_alg. */
static const char uploads[] = "CREATE TABLE uploads ("
                              "  n INTEGER PRIMARY KEY,"
                              "  id TEXT NOT NULL UNIQUE,"
                              "  repo TEXT NOT NULL,"
                              "  state INTEGER NOT NULL CHECK (state IN (0, 1)),"
                              "  received INTEGER NOT NULL CHECK (received >= 0),"
                              "  staged INTEGER NOT NULL CHECK (staged IN (0, 1)),"
                              "  alg INTEGER NOT NULL,"
                              "  started_ms INTEGER NOT NULL,"
                              "  touched_ms INTEGER NOT NULL,"
                              "  digest TEXT,"
                              "  bytes BLOB) STRICT;"
                              "CREATE INDEX uploads_touched ON uploads (state, touched_ms);";

/* One row each: the number of processes that have opened this database, and how many there are of
 * everything (live blobs, open uploads), because counting rows takes as long as there are rows. */
static const char counts[] =
    "CREATE TABLE generation (id INTEGER PRIMARY KEY CHECK (id = 1), n INTEGER NOT NULL) STRICT;"
    "INSERT INTO generation VALUES (1, 0);"
    "CREATE TABLE counts ("
    "  id INTEGER PRIMARY KEY CHECK (id = 1),"
    "  repositories INTEGER NOT NULL, manifests INTEGER NOT NULL, tags INTEGER NOT NULL,"
    "  blobs INTEGER NOT NULL, uploads INTEGER NOT NULL, blob_bytes INTEGER NOT NULL) STRICT;"
    "INSERT INTO counts VALUES (1, 0, 0, 0, 0, 0, 0);"
    "CREATE TRIGGER repositories_add AFTER INSERT ON repositories BEGIN"
    "  UPDATE counts SET repositories = repositories + 1 WHERE id = 1; END;"
    "CREATE TRIGGER repositories_remove AFTER DELETE ON repositories BEGIN"
    "  UPDATE counts SET repositories = repositories - 1 WHERE id = 1; END;"
    "CREATE TRIGGER manifests_add AFTER INSERT ON manifests BEGIN"
    "  UPDATE counts SET manifests = manifests + 1 WHERE id = 1; END;"
    "CREATE TRIGGER manifests_remove AFTER DELETE ON manifests BEGIN"
    "  UPDATE counts SET manifests = manifests - 1 WHERE id = 1; END;"
    "CREATE TRIGGER tags_add AFTER INSERT ON tags BEGIN"
    "  UPDATE counts SET tags = tags + 1 WHERE id = 1; END;"
    "CREATE TRIGGER tags_remove AFTER DELETE ON tags BEGIN"
    "  UPDATE counts SET tags = tags - 1 WHERE id = 1; END;"
    "CREATE TRIGGER blobs_add AFTER INSERT ON blobs WHEN NEW.state = 1 BEGIN"
    "  UPDATE counts SET blobs = blobs + 1, blob_bytes = blob_bytes + NEW.size WHERE id = 1; END;"
    "CREATE TRIGGER blobs_remove AFTER DELETE ON blobs WHEN OLD.state = 1 BEGIN"
    "  UPDATE counts SET blobs = blobs - 1, blob_bytes = blob_bytes - OLD.size WHERE id = 1; END;"
    "CREATE TRIGGER blobs_change AFTER UPDATE OF state ON blobs WHEN NEW.state <> OLD.state BEGIN"
    "  UPDATE counts SET blobs = blobs + (NEW.state = 1) - (OLD.state = 1),"
    "    blob_bytes = blob_bytes + (NEW.state = 1) * NEW.size - (OLD.state = 1) * OLD.size"
    "  WHERE id = 1; END;"
    "CREATE TRIGGER uploads_add AFTER INSERT ON uploads WHEN NEW.state = 0 BEGIN"
    "  UPDATE counts SET uploads = uploads + 1 WHERE id = 1; END;"
    "CREATE TRIGGER uploads_remove AFTER DELETE ON uploads WHEN OLD.state = 0 BEGIN"
    "  UPDATE counts SET uploads = uploads - 1 WHERE id = 1; END;"
    "CREATE TRIGGER uploads_done AFTER UPDATE OF state ON uploads"
    "  WHEN OLD.state = 0 AND NEW.state = 1 BEGIN"
    "  UPDATE counts SET uploads = uploads - 1 WHERE id = 1; END;";

/* Version 2. Who delivers events has a cursor: the id of the last one that is done. AUTOINCREMENT:
 * an id must not come back when the events before it are gone. */
static const char events[] = "CREATE TABLE events ("
                             "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
                             "  time_ms INTEGER NOT NULL,"
                             "  uuid TEXT NOT NULL,"
                             "  action TEXT NOT NULL,"
                             "  repo TEXT NOT NULL,"
                             "  digest TEXT NOT NULL,"
                             "  media_type TEXT NOT NULL,"
                             "  size INTEGER NOT NULL,"
                             "  tag TEXT NOT NULL,"
                             "  from_repo TEXT NOT NULL,"
                             "  url TEXT NOT NULL,"
                             "  request TEXT NOT NULL,"
                             "  actor TEXT NOT NULL,"
                             "  refs TEXT NOT NULL) STRICT;" /* may be long */
                             "CREATE TABLE cursors ("
                             "  name TEXT NOT NULL PRIMARY KEY CHECK (name <> ''),"
                             "  position INTEGER NOT NULL CHECK (position >= 0))"
                             "  STRICT, WITHOUT ROWID;"
                             "CREATE INDEX cursors_position ON cursors (position);";

const struct migration meta_migrations[] = {
    {"first schema", {repositories, blobs, manifests, uploads, counts}},
    {"events", {events}},
};
const unsigned meta_migrations_n = ARRAY_LEN(meta_migrations);
