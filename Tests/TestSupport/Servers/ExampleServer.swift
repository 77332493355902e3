import Foundation
import Glibc

/// A real server on an example of Config/servers, changed in nothing but what must be one's own: paths, port, the server's account. Ends with the object.
package final class ExampleServer: Sendable {
    package enum Kind: String, CaseIterable, Sendable { case nginx, apache, lighttpd }

    /// `openssl passwd -apr1 -salt walship1 'through the proxy'`, which all three understand.
    package static let user = ApacheServer.user

    package let port: UInt16
    package let url: String
    package let caFile: String?
    package let process: ChildProcess
    private let directory: ServerDirectory

    package static func start(_ kind: Kind) async throws -> ExampleServer {
        try await startOnFreePort {
            try ExampleServer(kind, port: $0)
        } ready: {
            try await waitForPort($0.port, of: $0.process)
        }
    }

    private init(_ kind: Kind, port: UInt16) throws {
        self.port = port
        directory = try ServerDirectory("example")
        let path = directory.path
        for name in ["files", "uploads", "locks"] { try ServerAccount.own(directory.makeDirectory(name)) }
        try ServerAccount.own(directory.write("users", "\(ApacheServer.user.name):\(ApacheServer.passwordHash)\n"))
        chmod(path, 0o711)
        let certificate = try SelfSignedCertificate.make(in: directory)
        caFile = kind == .lighttpd ? nil : certificate.certificate
        url = "\(kind == .lighttpd ? "http" : "https")://127.0.0.1:\(port)"

        var root = URL(filePath: #filePath)
        for _ in 0..<4 { root.deleteLastPathComponent() }
        var text = try String(contentsOf: root.appending(path: "Config/servers/\(kind.rawValue).conf"), encoding: .utf8)
        let changes = [
            ("/srv/walship", path), ("/etc/walship/server.pem", certificate.certificate), ("/etc/walship/server.key", certificate.key),
            ("/etc/walship/users", "\(path)/users"), ("listen 443 ", "listen 127.0.0.1:\(port) "), ("Listen 443", "Listen 127.0.0.1:\(port)"),
            ("*:443", "127.0.0.1:\(port)"), ("server.port = 8080", "server.port = \(port)"),
        ]
        for (example, own) in changes { text = text.replacing(example, with: own) }
        let site = try directory.write("site.conf", text)
        switch kind {
        case .nginx:
            let module = "/usr/lib/nginx/modules/ngx_http_dav_ext_module.so"
            let configuration = try directory.write(
                "nginx.conf",
                """
                load_module \(module); daemon off; master_process off; pid \(path)/pid; error_log \(path)/error.log; events {}
                http { access_log off; proxy_temp_path \(path)/proxy; fastcgi_temp_path \(path)/fastcgi; uwsgi_temp_path \(path)/uwsgi;
                scgi_temp_path \(path)/scgi; include \(site); }
                """)
            let nginx = try InstalledServer.debian("nginx", package: "nginx-light libnginx-mod-http-dav-ext", needs: [module])
            process = try ChildProcess(nginx, ["-e", "\(path)/error.log", "-p", path, "-c", configuration], in: path)
        case .apache:
            let apache = try InstalledServer.debian("apache2", package: "apache2-bin")
            let modules = ["mpm_event", "authn_core", "authz_core", "ssl", "dav", "dav_fs", "auth_basic", "authn_file", "authz_user"]
            let loading = modules.map { "LoadModule \($0)_module \(ApacheServer.modules)/mod_\($0).so\n" }.joined()
            let configuration = try directory.write(
                "apache.conf",
                """
                \(loading)ServerName 127.0.0.1
                User \(ServerAccount.name)
                Group \(ServerAccount.name)
                PidFile \(path)/pid
                DefaultRuntimeDir \(path)
                ErrorLog \(path)/error.log
                Include \(site)

                """)
            process = try ChildProcess(apache, ["-X", "-f", configuration], in: path)
        case .lighttpd:
            let lighttpd = try InstalledServer.debian("lighttpd", package: "lighttpd lighttpd-mod-webdav")
            process = try ChildProcess(lighttpd, ["-D", "-f", site], in: path)
        }
    }

    package func stop() { process.kill() }
}
