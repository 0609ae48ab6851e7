/* SPDX-License-Identifier: Apache-2.0 */
/* A directory for one test. */
#ifndef TESTS_STORE_TMP_DIR_H
#define TESTS_STORE_TMP_DIR_H

/* A new one under $TMPDIR, else in memory where there is /dev/shm, else in /tmp; the path is the
 * caller's to free. */
char *tmp_dir_make(void);
/* Removes it and all that is in it, and frees the path. */
void tmp_dir_remove(char *path);

#endif
