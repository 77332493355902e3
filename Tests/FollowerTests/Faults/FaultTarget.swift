import Archive
import Foundation
import TestSupport

/// A real server that archives are shipped to, and the stores on it: straight, or through whatever listens on another port.
struct FaultTarget: Sendable {
    /// Kept so that it lives.
    private let server: any Sendable
    let name: String
    let port: UInt16
    private let isS3: Bool

    static func nginx() async throws -> FaultTarget {
        let server = try await NginxServer.start()
        return FaultTarget(server: server, name: "nginx", port: server.port, isS3: false)
    }

    static func lighttpd() async throws -> FaultTarget {
        let server = try await LighttpdServer.start()
        return FaultTarget(server: server, name: "lighttpd", port: server.port, isS3: false)
    }

    static func seaweed() async throws -> FaultTarget {
        let server = try await SeaweedServer.start()
        guard let port = URL(string: server.url)?.port else { throw ServerError("\(server.url) has no port") }
        return FaultTarget(server: server, name: "SeaweedFS", port: UInt16(port), isS3: true)
    }

    /// `place` is a name of its own for each archive.
    func store(_ place: String, through port: UInt16? = nil) throws -> any ObjectStore {
        let url = "http://127.0.0.1:\(port ?? self.port)"
        var http = HTTPSettings()
        http.proxy = ""
        // With faults before the server, what takes longer is tried again. (The stall limit is no shorter than six seconds: libcurl's speed is a mean over five.)
        http.requestTimeout = port == nil ? .seconds(30) : .milliseconds(1500)
        guard isS3 else { return try HTTPStore(base: "\(url)/\(place)", settings: http) }
        let key = try S3Credentials(accessKeyID: SeaweedServer.key.id, secretAccessKey: SeaweedServer.key.secret)
        var settings = S3Settings { () throws(ArchiveError) in key }
        settings.endpoint = url
        guard let bucket = S3Place(bucket: SeaweedServer.bucket, prefix: place) else { throw ServerError("\(place) is no prefix") }
        return try S3Store(bucket, settings: settings, http: http)
    }

    /// Where the server has what an archive's key names, as requests name it.
    func path(_ key: ObjectKey, in place: String) -> String {
        (isS3 ? "/\(SeaweedServer.bucket)" : "") + "/\(place)/\(key.path)"
    }
}
