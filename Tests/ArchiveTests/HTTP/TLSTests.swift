import TestSupport
import Testing

@testable import Archive

/// The way to a server: TLS, certificates, HTTP/2, proxies.
@Suite struct TLSTests {
    private let key = ObjectKey("log/object")
    private let bytes = [UInt8](repeating: 7, count: 1_000_000)

    private func store(_ url: String, _ change: (inout HTTPSettings) -> Void) throws -> HTTPStore {
        var settings = HTTPSettings.direct
        change(&settings)
        return try HTTPStore(base: url + "/base", settings: settings)
    }

    private func tls(_ change: (inout NginxServer.Options) -> Void = { _ in }) async throws -> NginxServer {
        var options = NginxServer.Options()
        options.tls = true
        change(&options)
        return try await NginxServer.start(options)
    }

    private func exercise(_ store: HTTPStore) async throws {
        try await store.replace(key, bytes)
        #expect(try await store.get(key, range: nil, limit: 1 << 20) == bytes)
        #expect(try await store.list(ObjectKey("log")) == [key])
    }

    /// As the server saw it.
    @Test(arguments: [(true, "HTTP/2.0"), (false, "HTTP/1.1")])
    func http2IsSpokenWhereItIsAskedForAndOffered(_ http2: Bool, _ name: String) async throws {
        let nginx = try await tls()
        try await exercise(
            store(nginx.url) {
                $0.caFile = nginx.caFile
                $0.http2 = http2
            })
        let accesses = try nginx.accesses()
        #expect(accesses.count >= 3)
        #expect(accesses.allSatisfy { $0.hasPrefix(name + " ") }, "\(accesses)")
    }

    /// Many at a time over one connection come back with their own bytes.
    @Test func manyUploadsShareAnHTTP2Connection() async throws {
        let nginx = try await tls()
        let store = try store(nginx.url) {
            $0.caFile = nginx.caFile
            $0.http2 = true
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<16 {
                group.addTask {
                    let key = ObjectKey("many/\(index)")
                    let bytes = [UInt8](repeating: UInt8(index), count: 200_000 + index)
                    let outcome = try await store.create(key, bytes)
                    let found = try await store.get(key, range: nil, limit: 1 << 20)
                    #expect(outcome == .created && found == bytes)
                }
            }
            try await group.waitForAll()
        }
        let accesses = try nginx.accesses()
        #expect(accesses.allSatisfy { $0.hasPrefix("HTTP/2.0 ") }, "\(accesses)")
    }

    @Test func theServersCertificateMustBeBelievedAndForItsName() async throws {
        let nginx = try await tls()
        let named = nginx.url.replacing("127.0.0.1", with: "localhost")
        for (url, authority) in [(nginx.url, nil), (named, nginx.caFile)] {
            let error = await failure { try await store(url) { $0.caFile = authority }.replace(key, bytes) }
            #expect(error?.code == .unreachable && error?.outcome == .notDone, "\(String(describing: error))")
            #expect(error?.hint?.contains("certificate") == true)
        }
    }

    @Test func aServerThatWantsACertificateGetsOurs() async throws {
        let nginx = try await tls { $0.wantsClientCertificate = true }
        let client = try #require(nginx.client)
        try await exercise(
            store(nginx.url) {
                $0.caFile = nginx.caFile
                $0.clientCertificateFile = client.certificate
                $0.clientKeyFile = client.key
            })
        let without = await failure { try await store(nginx.url) { $0.caFile = nginx.caFile }.replace(key, bytes) }
        #expect(without?.code == .refused(status: 400) && without?.outcome == .notDone, "\(String(describing: without))")
        // The key of another certificate.
        let mixed = await failure {
            try await store(nginx.url) {
                $0.caFile = nginx.caFile
                $0.clientCertificateFile = client.certificate
                $0.clientKeyFile = nginx.keyFile
            }.replace(key, bytes)
        }
        #expect(mixed?.hint?.contains("client certificate") == true && mixed?.outcome == .notDone, "\(String(describing: mixed))")
    }

    // MARK: Proxies

    /// A proxy passes on what is for http servers, and connections for https.
    @Test(arguments: [false, true], [false, true])
    func aProxyIsTheWay(_ isTLS: Bool, _ wantsUser: Bool) async throws {
        var options = NginxServer.Options()
        options.tls = isTLS
        let nginx = try await NginxServer.start(options)
        let proxy = try await ApacheServer.start(.proxy(connectTo: [nginx.port], wantsUser: wantsUser))
        func through(_ proxy: String) throws -> HTTPStore {
            try store(nginx.url) {
                $0.proxy = proxy
                $0.caFile = nginx.caFile
            }
        }
        if wantsUser {
            let refused = await failure { try await through(proxy.url).replace(key, bytes) }
            #expect(refused?.code == .unauthorized(status: 407) && refused?.outcome == .notDone, "\(String(describing: refused))")
            #expect(refused?.hint?.contains("https_proxy") == true)
        }
        let user = "\(ApacheServer.user.name):\(ApacheServer.user.password.replacing(" ", with: "%20"))@"
        let open = try through(proxy.url.replacing("http://", with: "http://\(wantsUser ? user : "")"))
        try await exercise(open)
        #expect(try await open.probe(prefix: ObjectKey("log/.probe")) == TestedStore.nginx.capabilities)
        // Nobody else lets us through.
        proxy.stop()
        let error = await failure { try await open.head(key) }
        #expect(error?.code == .unreachable)
    }

    @Test func whatAProxyWillNotConnectToIsNotDone() async throws {
        let nginx = try await tls()
        let proxy = try await ApacheServer.start(.proxy(connectTo: [1], wantsUser: false))
        let error = await failure {
            try await store(nginx.url) {
                $0.proxy = proxy.url
                $0.caFile = nginx.caFile
            }.replace(key, bytes)
        }
        #expect(error?.code == .unauthorized(status: 403) && error?.outcome == .notDone, "\(String(describing: error))")
        #expect(error?.hint?.contains("proxy") == true)
    }
}
