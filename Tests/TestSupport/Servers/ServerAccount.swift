import Glibc

/// Whom servers become when root starts them: Debian's account for web servers.
enum ServerAccount {
    static let name = "www-data"

    /// Gives a file or directory to the account, if root runs the tests; else servers stay who they are.
    static func own(_ path: String) throws {
        guard geteuid() == 0 else { return }
        guard let account = getpwnam(name) else { throw ServerError("there is no user \(name), whom Debian's base-passwd makes") }
        guard chown(path, account.pointee.pw_uid, account.pointee.pw_gid) == 0 else {
            throw ServerError("\(path) cannot be given to \(name): errno \(errno)")
        }
    }
}
