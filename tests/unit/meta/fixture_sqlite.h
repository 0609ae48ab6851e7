/* SPDX-License-Identifier: Apache-2.0 */
/* A new SQLite database in a directory of its own as the state of a test. */
#ifndef TESTS_META_FIXTURE_SQLITE_H
#define TESTS_META_FIXTURE_SQLITE_H

#include "meta_help.h"

int sqlite_fixture_setup(void **state);
int sqlite_fixture_teardown(void **state);
/* The file's path, in the test's arena. */
const char *sqlite_fixture_path(void **state);
/* Changes it behind the backend's back; stops the test when that fails. */
void sqlite_fixture_exec(void **state, const char *sql);
/* The first column of the first row. */
int64_t sqlite_fixture_number(void **state, const char *sql);

/* Counts the syncs of logs by connections that are opened from here on, until syncs() ends it. */
void sqlite_fixture_watch_syncs(void);
int sqlite_fixture_syncs(void);

#endif
