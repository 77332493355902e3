import Archive
import Foundation

/// A real SeaweedFS with its S3 gateway, on free ports of 127.0.0.1, with a directory of its own. It checks signatures. Ends with the object.
package final class SeaweedServer: Sendable {
    package struct Key: Sendable {
        package var id: String
        package var secret: String

        package init(id: String, secret: String) {
            self.id = id
            self.secret = secret
        }
    }

    /// May do everything; so may `other`. `reader` may read and list.
    package static let key = Key(id: "testkey", secret: "testsecret")
    package static let other = Key(id: "otherkey", secret: "othersecret")
    package static let reader = Key(id: "readkey", secret: "readsecret")
    /// A bucket that is there from the beginning.
    package static let bucket = "archive"

    package let url: String
    package var port: UInt16 { ports[0] }
    package let caFile: String?
    package let process: ChildProcess
    private let directory: ServerDirectory
    private let ports: [UInt16]

    /// Ready when it takes objects: it listens before it can.
    package static func start(tls: Bool = false) async throws -> SeaweedServer {
        try await startOnFreePort {
            try SeaweedServer(tls: tls, ports: [$0] + (0..<7).map { _ in try Ports.free() })
        } ready: { server in
            try await waitForPort(server.ports[0], of: server.process)
            try await waitUntil("SeaweedFS makes a bucket; \(server.process.tail)") { try await server.request("PUT", bucket) == "200" }
            try await waitUntil("SeaweedFS takes an object; \(server.process.tail)") { try await server.takesObjects() }
        }
    }

    private init(tls: Bool, ports: [UInt16]) throws {
        let weed = try InstalledServer.find("weed")
        self.ports = ports
        directory = try ServerDirectory("weed")
        let path = directory.path
        let data = try directory.makeDirectory("data")
        let configuration = try directory.write("s3.json", Self.identities([Self.key, Self.other]))
        url = "\(tls ? "https" : "http")://127.0.0.1:\(ports[0])"
        var options: [String] = []
        if tls {
            let certificate = try SelfSignedCertificate.make(in: directory)
            caFile = certificate.certificate
            options = ["-s3.cert.file=\(certificate.certificate)", "-s3.key.file=\(certificate.key)"]
        } else {
            caFile = nil
        }
        process = try ChildProcess(
            weed,
            [
                "server", "-dir=\(data)", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.volumeSizeLimitMB=256", "-master.telemetry=false",
                "-volume.max=20", "-filer", "-filer.localSocket=\(path)/filer.sock", "-s3", "-s3.localSocket=\(path)/s3.sock",
                "-s3.autoCreateBucket=false", "-s3.domainName=localhost", "-s3.config=\(configuration)", "-s3.port.iceberg=0", "-s3.port.lance=0",
                "-s3.port=\(ports[0])", "-master.port=\(ports[1])", "-volume.port=\(ports[2])", "-filer.port=\(ports[3])",
                // Their defaults are the ports above and 10000, which may not exist.
                "-master.port.grpc=\(ports[4])", "-volume.port.grpc=\(ports[5])", "-filer.port.grpc=\(ports[6])", "-s3.port.grpc=\(ports[7])",
            ] + options, in: path, environment: ["HOME": path])
    }

    private static func identities(_ keys: [Key]) -> String {
        let all = keys.map { ($0, #""Admin","Read","Write","List","Tagging""#) } + [(reader, #""Read","List""#)]
        let identities = all.map { key, actions in
            #"{"name":"\#(key.id)","credentials":[{"accessKey":"\#(key.id)","secretKey":"\#(key.secret)"}],"actions":[\#(actions)]}"#
        }
        return #"{"identities":[\#(identities.joined(separator: ","))]}"#
    }

    /// Has the running server know these keys, beside `reader`, and no others. They count some time later.
    package func know(_ keys: [Key]) throws {
        _ = try directory.write("s3.json", Self.identities(keys))
        process.signal(SIGHUP)
    }

    deinit { stop() }

    /// Also removes the sockets that it makes outside its directory, whatever it is told.
    package func stop() {
        process.kill()
        for (name, port) in zip(["master", "volume", "filer", "s3"], ports[4...]) { unlink("/tmp/seaweedfs-\(name)-grpc-\(port).sock") }
    }

    /// A request by curl, which signs by itself: the status.
    private func request(_ method: String, _ path: String) async throws -> String {
        let place = try ServerDirectory("curl")
        let curl = try ChildProcess(
            "curl",
            [
                "-sk", "-o", "/dev/null", "-w", "%{http_code}", "-m", "20", "--noproxy", "*", "-X", method, "--aws-sigv4", "aws:amz:us-east-1:s3",
                "-u", "\(Self.key.id):\(Self.key.secret)", "\(url)/\(path)",
            ], in: place.path)
        _ = try await curl.waitForExit()
        return curl.standardOutput
    }

    private func takesObjects() async throws -> Bool {
        let key = try S3Credentials(accessKeyID: Self.key.id, secretAccessKey: Self.key.secret)
        var settings = S3Settings { () throws(ArchiveError) in key }
        settings.endpoint = url
        var http = HTTPSettings.direct
        http.caFile = caFile
        guard let place = S3Place(bucket: Self.bucket, prefix: "") else { throw ServerError("\(Self.bucket) is no bucket") }
        let store = try S3Store(place, settings: settings, http: http)
        do throws(ArchiveError) {
            try await store.replace(ObjectKey("ready"), [1])
            try await store.delete(ObjectKey("ready"))
            return true
        } catch {
            // Its volumes are not there yet.
            if error.isRetryable { return false }
            throw error
        }
    }
}
