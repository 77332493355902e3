package import Archive

/// A real moto server (the S3 part) on a free port of 127.0.0.1, in memory. It checks no signature and no checksum. It takes two seconds to start. Ends with the object.
package final class MotoServer: Sendable {
    package let port: UInt16
    package var url: String { "http://127.0.0.1:\(port)" }
    package let process: ChildProcess
    private let directory: ServerDirectory

    /// Ready, with `SeaweedServer.bucket` made.
    package static func start() async throws -> MotoServer {
        try await startOnFreePort {
            try MotoServer(port: $0)
        } ready: { server in
            try await waitForPort(server.port, of: server.process)
            let engine = try CurlEngine(settings: .direct)
            var request = HTTPRequest(.put, "\(server.url)/\(SeaweedServer.bucket)")
            request.body = []
            let status = try await engine.perform(request).status
            guard status == 200 else { throw ServerError("moto answered \(status) to a new bucket; \(server.process.tail)") }
        }
    }

    private init(port: UInt16) throws {
        let program = try InstalledServer.find("moto_server")
        self.port = port
        directory = try ServerDirectory("moto")
        process = try ChildProcess(
            program, ["-H", "127.0.0.1", "-p", "\(port)"], in: directory.path, environment: ["HOME": directory.path, "MOTO_S3_CUSTOM_ENDPOINTS": ""])
    }

    package func stop() { process.kill() }
}

extension HTTPSettings {
    /// As tests talk to servers of their own: without the environment's proxy.
    package static var direct: HTTPSettings {
        var settings = HTTPSettings()
        settings.proxy = ""
        return settings
    }
}
