/* SPDX-License-Identifier: Apache-2.0 */
/* What registry's `validation` and `policy` sections ask of a manifest that is pushed. */
#ifndef REGISTRY_VALIDATE_H
#define REGISTRY_VALIDATE_H

#include <stdbool.h>

#include "base/error.h"
#include "base/slice.h"
#include "oci/manifest.h"

struct validator; /* immutable; any thread */

enum validate_platforms { VALIDATE_ALL, VALIDATE_NONE, VALIDATE_LIST };

struct validate_config {           /* copied */
    bool disabled;                 /* validation.disabled: URLs and platforms are not looked at */
    bool strict;                   /* validation.enabled, or disabled: false, was written */
    const char *const *urls_allow; /* Go regular expressions, unanchored, for the URLs of layers,
                                      of a config and of an index' manifests. Both lists empty:
                                      any of them is refused when strict, else none is looked at
                                      (docs/differences.md) */
    unsigned n_urls_allow;
    const char *const *urls_deny;
    unsigned n_urls_deny;
    enum validate_platforms platforms;
    const char *const (*platform_list)[2]; /* os, architecture */
    unsigned n_platforms;
    const char *const *classes; /* image, plugin; none: no policy */
    unsigned n_classes;
};

/* -1 with a detail that names the expression that berth cannot compile. */
int validator_new(const struct validate_config *config, struct validator **out, struct error *err);
void validator_free(struct validator *v);
/* Looks at the body (parsed already into m) and may clear `required` of children that need not be
 * there. 0; ERR_MANIFEST_INVALID for a URL, ERR_DENIED for a class, each with a detail. NULL v
 * allows everything. */
int validator_check(const struct validator *v, struct slice body, struct manifest *m,
                    struct error *err);

#endif
