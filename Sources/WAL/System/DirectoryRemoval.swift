import Glibc

/// Removing directories, which logs never do and the archive server does: beside `FileSystem`, not in it.
package protocol DirectoryRemoval: Sendable {
    /// rmdir(2). False, and nothing changed, where the directory is not empty. Not durable before its parent is synced.
    func removeDirectory(_ path: String) throws(WALError) -> Bool
}

extension LinuxFileSystem: DirectoryRemoval {
    package func removeDirectory(_ path: String) throws(WALError) -> Bool {
        // POSIX allows either code for a directory that is not empty.
        try SystemCall.check("rmdir", on: path, allowing: [ENOTEMPTY, EEXIST]) { unsafe rmdir(path) == 0 ? 0 : errno } == 0
    }
}
