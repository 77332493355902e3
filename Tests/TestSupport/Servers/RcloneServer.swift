/// A real `rclone serve` on a directory, on a free port of 127.0.0.1: the most careless of the servers that people use. Ends with the object.
package final class RcloneServer: Sendable {
    package enum Kind: String, Sendable {
        case s3
        case webDAV = "webdav"
    }

    package static let key = SeaweedServer.key
    package static let bucket = SeaweedServer.bucket

    package let port: UInt16
    package var url: String { "http://127.0.0.1:\(port)" }
    /// Where objects lie as files; buckets are directories.
    package let root: String
    package let process: ChildProcess
    private let directory: ServerDirectory

    package static func start(_ kind: Kind) async throws -> RcloneServer {
        try await startOnFreePort {
            try RcloneServer(kind, port: $0)
        } ready: {
            try await waitForPort($0.port, of: $0.process)
        }
    }

    private init(_ kind: Kind, port: UInt16) throws {
        let rclone = try InstalledServer.find("rclone")
        self.port = port
        directory = try ServerDirectory("rclone")
        root = try directory.makeDirectory("files")
        var options: [String] = []
        if kind == .s3 {
            _ = try directory.makeDirectory("files/\(Self.bucket)")
            options = ["--auth-key", "\(Self.key.id),\(Self.key.secret)"]
        }
        process = try ChildProcess(
            rclone, ["serve", kind.rawValue, "--addr", "127.0.0.1:\(port)"] + options + [root],
            in: directory.path, environment: ["HOME": directory.path, "RCLONE_CONFIG": "\(directory.path)/rclone.conf"])
    }

    package func stop() { process.kill() }
}
