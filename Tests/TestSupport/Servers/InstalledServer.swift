import Foundation

/// Programs that `make deps` installs: Debian's, and those in the project's own `.build/servers`. A test that needs one which is missing fails, and says so.
enum InstalledServer {
    /// One of `.build/servers`.
    static func find(_ program: String) throws -> String {
        var root = URL(filePath: #filePath)
        for _ in 0..<4 { root.deleteLastPathComponent() }
        let path = root.appending(path: ".build/servers/bin/\(program)").path
        guard let found = ChildProcess.find(path) ?? ChildProcess.find(program) else {
            throw ServerError("\(program) is not installed: make deps")
        }
        return found
    }

    /// One of Debian's, with the files that it cannot do without.
    static func debian(_ program: String, package: String, needs files: [String] = []) throws -> String {
        guard let found = ChildProcess.find(program) else { throw ServerError("\(program) is not installed: make deps, or apt-get install \(package)") }
        for file in files where !FileManager.default.fileExists(atPath: file) {
            throw ServerError("\(file) is missing: make deps, or apt-get install \(package)")
        }
        return found
    }
}
