/// A real lighttpd with mod_webdav, on a free port of 127.0.0.1, with a directory of its own. Ends with the object.
package final class LighttpdServer: Sendable {
    package let port: UInt16
    package var url: String { "http://127.0.0.1:\(port)" }
    /// Where objects lie as files.
    package let root: String
    package let process: ChildProcess
    private let directory: ServerDirectory

    package static func start() async throws -> LighttpdServer {
        try await startOnFreePort {
            try LighttpdServer(port: $0)
        } ready: {
            try await waitForPort($0.port, of: $0.process)
        }
    }

    private init(port: UInt16) throws {
        let lighttpd = try InstalledServer.debian(
            "lighttpd", package: "lighttpd lighttpd-mod-webdav", needs: ["/usr/lib/lighttpd/mod_webdav.so"])
        directory = try ServerDirectory("lighttpd")
        self.port = port
        root = try directory.makeDirectory("files")
        let uploads = try directory.makeDirectory("uploads")
        // Without the mimetype line a GET has no ETag.
        let configuration = try directory.write(
            "lighttpd.conf",
            """
            server.document-root = "\(root)"
            server.bind = "127.0.0.1"
            server.port = \(port)
            server.errorlog = "\(directory.path)/error.log"
            server.upload-dirs = ( "\(uploads)" )
            server.modules = ( "mod_webdav" )
            mimetype.assign = ( "" => "application/octet-stream" )
            webdav.activate = "enable"
            webdav.is-readonly = "disable"

            """)
        process = try ChildProcess(lighttpd, ["-D", "-f", configuration], in: directory.path)
    }

    package func stop() { process.kill() }
}
