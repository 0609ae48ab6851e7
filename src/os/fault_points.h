/* SPDX-License-Identifier: Apache-2.0 */
/* The names of all fault points: X(name, "what it stands for"). Sorted by area. */
#ifndef OS_FAULT_POINTS_H
#define OS_FAULT_POINTS_H

#define FAULT_POINTS(X)                                                                          \
    X("stage.create", "create the temporary file of an upload")                                  \
    X("stage.open", "reopen the temporary file of an upload")                                    \
    X("stage.write", "append to the temporary file")                                             \
    X("stage.read", "read the temporary file back, to hash it")                                  \
    X("stage.sync", "fsync the temporary file")                                                  \
    X("stage.truncate", "cut the temporary file back")                                           \
    X("stage.stat", "stat the temporary file")                                                   \
    X("stage.unlink", "remove the temporary file")                                               \
    X("blob.link", "link the temporary file to its place")                                       \
    X("blob.replace", "rename a good copy over a torn blob")                                     \
    X("blob.dirsync", "fsync the directory of that place")                                       \
    X("blob.open", "open a blob for reading")                                                    \
    X("blob.read", "read a blob")                                                                \
    X("blob.unlink", "remove a blob's file")                                                     \
    X("blob.stat", "stat a blob's file")                                                         \
    X("store.probe", "write probe of the health check")                                          \
    X("store.list", "list a directory of the store")                                             \
    X("store.setup", "make the store's directories")                                             \
    X("upload.row", "the upload's row is about to be made")                                      \
    X("upload.offset", "the upload's offset is about to be recorded")                            \
    X("push.pending", "before the transaction that makes the blob pending")                      \
    X("push.pended", "after it, before the link")                                                \
    X("push.linked", "after link and directory sync, before the transaction that makes it live") \
    X("push.live", "after that transaction, before the temporary file is removed")               \
    X("push.done", "all done, the answer not yet given")                                         \
    X("meta.begin", "the writer begins a group")                                                 \
    X("meta.commit", "the writer is about to commit a group")                                    \
    X("meta.committed", "the group is durable, nobody was told yet")                             \
    X("manifest.put", "before the transaction of a manifest")                                    \
    X("manifest.done", "after it, the answer not yet given")                                     \
    X("import.read", "read the directory that is imported")                                      \
    X("import.linked", "a batch of imported blobs is durable, its rows are not live yet")        \
    X("import.repository", "before the transaction of an imported repository")                   \
    X("import.mark", "write down that a directory was imported")                                 \
    X("config.read", "read the configuration file")                                              \
    X("cert.write", "any step of writing certificates and keys")                                 \
    X("loop.random", "random bytes")                                                             \
    X("net.accept", "accept a connection")                                                       \
    X("net.sendfile", "send a part of a file")

#endif
